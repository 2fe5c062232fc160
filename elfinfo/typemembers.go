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
	rest := slices.Clone(o.Members)
	var padding []Member
	for i, m := range r.Members {
		at := slices.IndexFunc(rest, func(was Member) bool { return was.Name == m.Name && was.Base == m.Base })
		if at < 0 {
			if bytes := c.replacement.byteArray(m.Type); bytes > 0 {
				padding = append(padding, m)
			} else {
				c.differ(path, "%s at offset %d: the build has none", memberName(m, i), m.Offset)
			}
			continue
		}
		c.member(under(path, "%s", memberName(m, i)), rest[at], m)
		rest = slices.Delete(rest, at, at+1)
	}
	for i, m := range rest {
		if !c.covered(m, padding) {
			c.differ(path, "%s at offset %d, which the build has, is missing", memberName(m, i), m.Offset)
		}
	}
}

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
		c.found.Differences = append(c.found.Differences, fmt.Sprintf("%s is at offset %d, not %d", path, r.Offset, o.Offset))
	case o.Bits != r.Bits || o.Bit != r.Bit:
		c.found.Differences = append(c.found.Differences, fmt.Sprintf("%s is %s, not %s", path, bitText(r), bitText(o)))
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
