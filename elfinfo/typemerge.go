package elfinfo

import (
	"crypto/sha256"
	"encoding/binary"
	"encoding/json"
)

// typeMerger finds the types that are the same in everything: every unit of a
// library describes the types that it uses. Types refer to each other in
// cycles, so that they are told apart by what they hold, then by what the types
// hold that they refer to, and so on until no more differ.
type typeMerger struct {
	types  []Type
	local  [][sha256.Size]byte // what a type holds itself
	class  []int               // of each type
	number int                 // of classes
}

// mergeTypes returns the types that the roots reach, each once, in the order in
// which they are reached, and the place of each old one in it; void is the
// first. The roots are the functions, variables and names in their order, so
// that equal input gives an equal order.
func mergeTypes(types []Type, roots []TypeID) (merged []Type, place map[TypeID]TypeID) {
	m := &typeMerger{types: types, class: make([]int, len(types))}
	for _, t := range types {
		m.local = append(m.local, localSum(t))
	}
	for round := 0; m.refine(); round++ {
		if round == maxRounds {
			m.separate()
			break
		}
	}
	return m.collect(roots)
}

// maxRounds bounds how deep the difference between two types may lie.
const maxRounds = 96

// separate gives each type a class of its own.
func (m *typeMerger) separate() {
	for i := range m.class {
		m.class[i] = i
	}
}

// localSum is the digest of a type without what it refers to.
func localSum(t Type) [sha256.Size]byte {
	t.Of = 0
	t.Parameters = make([]TypeID, len(t.Parameters))
	members := make([]Member, len(t.Members))
	for i, m := range t.Members {
		m.Type = 0
		members[i] = m
	}
	t.Members = members
	text, err := json.Marshal(t)
	if err != nil {
		panic(err) // strings and numbers alone
	}
	return sha256.Sum256(text)
}

// refine tells types apart by the classes of what they refer to; false means
// that there are no more classes than before.
func (m *typeMerger) refine() bool {
	known := make(map[[sha256.Size]byte]int, m.number)
	next := make([]int, len(m.types))
	var text []byte
	for i := range m.types {
		text = append(text[:0], m.local[i][:]...)
		m.types[i].refers(func(id *TypeID) {
			text = binary.LittleEndian.AppendUint32(text, uint32(m.class[*id]))
		})
		text = binary.LittleEndian.AppendUint32(text, uint32(m.class[i]))
		sum := sha256.Sum256(text)
		class, ok := known[sum]
		if !ok {
			class = len(known)
			known[sum] = class
		}
		next[i] = class
	}
	more := len(known) > m.number
	m.class, m.number = next, len(known)
	return more
}

// refers visits what a type refers to.
func (t *Type) refers(visit func(*TypeID)) {
	visit(&t.Of)
	for i := range t.Parameters {
		visit(&t.Parameters[i])
	}
	for i := range t.Members {
		visit(&t.Members[i].Type)
	}
}

// collect numbers one type of each class that the roots reach.
func (m *typeMerger) collect(roots []TypeID) (merged []Type, place map[TypeID]TypeID) {
	ofClass := map[int]TypeID{m.class[0]: 0}
	merged = []Type{m.types[0]}
	number := func(id TypeID) TypeID {
		class := m.class[id]
		n, ok := ofClass[class]
		if !ok {
			n = TypeID(len(merged))
			ofClass[class] = n
			merged = append(merged, m.types[id].clone())
		}
		return n
	}
	place = make(map[TypeID]TypeID, len(roots))
	for _, id := range roots {
		place[id] = number(id)
	}
	for i := 1; i < len(merged); i++ {
		t := merged[i]
		t.refers(func(id *TypeID) { *id = number(*id) })
		merged[i] = t
	}
	return merged, place
}

// clone copies what refers changes.
func (t Type) clone() Type {
	t.Parameters = append([]TypeID(nil), t.Parameters...)
	t.Members = append([]Member(nil), t.Members...)
	return t
}
