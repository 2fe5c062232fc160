package elfinfo

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
)

// structs compares two structs, unions or classes.
func (c *comparer) structs(path string, o, r *Type) {
	path = under(path, "%s", tagged(string(o.Kind), cmp.Or(o.Name, r.Name)))
	if o.Size != r.Size {
		c.differ(path, "%d bytes, not %d", r.Size, o.Size)
	}
	if !slices.Equal(o.Slots, r.Slots) && (o.Virtual || r.Virtual) {
		c.differ(path, "the virtual functions are %s, not %s", slots(r), slots(o))
	}
	rest := make(map[memberKey][]int) // of the original's members
	for i, m := range o.Members {
		rest[m.key()] = append(rest[m.key()], i)
	}
	var padding []Member
	for i, m := range r.Members {
		same := rest[m.key()]
		if len(same) == 0 {
			if bytes := c.replacement.byteArray(m.Type); bytes > 0 && len(padding) < maxDifferences {
				padding = append(padding, m)
			} else {
				c.differ(path, "%s at offset %d: the build has none", memberName(m, i), m.Offset)
			}
			continue
		}
		c.member(under(path, "%s", memberName(m, i)), o.Members[same[0]], m)
		rest[m.key()] = same[1:]
	}
	for i, m := range o.Members {
		if left := rest[m.key()]; len(left) > 0 && i >= left[0] && !c.covered(m, padding) {
			c.differ(path, "%s at offset %d, which the build has, is missing", memberName(m, i), m.Offset)
		}
	}
}

// memberKey is what two members have in common that are the same one: unnamed
// ones and base classes are, in their order.
type memberKey struct {
	name string
	base bool
}

func (m Member) key() memberKey { return memberKey{m.Name, m.Base} }

func slots(t *Type) string {
	if len(t.Slots) == 0 {
		return "none"
	}
	names := make([]string, len(t.Slots))
	for i, s := range t.Slots {
		_, names[i], _ = strings.Cut(s, " ")
	}
	return strings.Join(names, ", ")
}

func memberName(m Member, i int) string {
	switch {
	case m.Base:
		return fmt.Sprintf("base class %d", i+1)
	case m.Name == "":
		return fmt.Sprintf("unnamed member %d", i+1)
	}
	return "member " + m.Name
}

// member compares the places of two members now and their types later.
func (c *comparer) member(path string, o, r Member) {
	switch {
	case o.VirtualBase != r.VirtualBase:
		c.differ(path, "one of the two is a virtual base class")
	case o.Offset != r.Offset:
		c.line(fmt.Sprintf("%s is at offset %d, not %d", path, r.Offset, o.Offset))
	case o.Bits != r.Bits || o.Bit != r.Bit:
		c.line(fmt.Sprintf("%s is %s, not %s", path, bitText(r), bitText(o)))
	}
	c.later(typePair{o.Type, r.Type}, path)
}

func bitText(m Member) string {
	if m.Bits == 0 {
		return "no bit-field"
	}
	return fmt.Sprintf("%d bits from bit %d", m.Bits, m.Bit)
}

// byteArray is the size of an array of bytes, 0 if the type is none.
func (b *Build) byteArray(id TypeID) uint64 {
	t := b.bare(id)
	if t.Kind != TypeArray || t.Count <= 0 {
		return 0
	}
	if of := b.bare(t.Of); !isInteger(of) || of.Size != 1 {
		return 0
	}
	return uint64(t.Count)
}

// covered says whether the replacement has an array of bytes where the
// original has a member.
func (c *comparer) covered(m Member, padding []Member) bool {
	return slices.ContainsFunc(padding, func(p Member) bool {
		return m.Offset >= p.Offset && m.Offset-p.Offset < c.replacement.byteArray(p.Type)
	})
}
