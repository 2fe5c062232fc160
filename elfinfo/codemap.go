package elfinfo

// codeSymbol is the code that a function symbol covers.
type codeSymbol struct {
	name       string
	start, end uint64
}

// maxCodePages bounds the index of a codeMap: hostile symbols can all overlap.
const maxCodePages = 16 << 20

// codeMap finds function symbols by address, through the pages that they
// touch. Of several names for the same code it keeps the first.
type codeMap struct {
	pages map[uint64][]codeSymbol // by page number
	known map[[2]uint64]bool      // start and end of each
	total uint64                  // pages
}

func newCodeMap() *codeMap {
	return &codeMap{pages: make(map[uint64][]codeSymbol), known: make(map[[2]uint64]bool)}
}

// add adds a symbol; false means that there are too many.
func (m *codeMap) add(s codeSymbol) bool {
	span := [2]uint64{s.start, s.end}
	if m.known[span] {
		return true
	}
	m.known[span] = true
	first, last := s.start/pageSize, (max(s.end, s.start+1)-1)/pageSize
	if last < first || last-first >= maxCodePages-m.total {
		return false
	}
	m.total += last - first + 1
	for page := first; page <= last; page++ {
		m.pages[page] = append(m.pages[page], s)
	}
	return true
}

// near visits each symbol that overlaps the pages of [low, high) once, until
// visit returns false.
func (m *codeMap) near(low, high uint64, visit func(codeSymbol) bool) {
	first := low / pageSize
	for page := first; page <= (high-1)/pageSize; page++ {
		for _, s := range m.pages[page] {
			if page > first && s.start/pageSize < page {
				continue // visited on the page before
			}
			if !visit(s) {
				return
			}
		}
	}
}
