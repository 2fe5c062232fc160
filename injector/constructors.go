package injector

import (
	"debug/elf"
	"errors"
	"fmt"
	"path"
	"time"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// constructorLimit is how long the constructors of one operation may take. One
// that is given up on may leave a lock behind that nobody ever releases.
const constructorLimit = 5 * time.Second

// maxConstructors bounds the functions in DT_INIT_ARRAY of one container.
const maxConstructors = 64

// readConstructors finds the functions that dlopen would call (gABI chapter 5,
// "Initialization and Termination Functions"): DT_INIT, then DT_INIT_ARRAY in
// its order. Those of the start files, which do nothing, are left out. A
// container that has others is refused unless it asks for them to be called.
// So are functions for its end, except where constructors are called: a
// container that was loaded stays, so that its end never comes.
func (l *layout) readConstructors() error {
	if at, ok := l.file.DynamicValue(elf.DT_INIT); ok && !l.isCrtInit(at) {
		if err := l.addConstructor(at, "an initialisation function (DT_INIT)"); err != nil {
			return err
		}
	}
	functions, err := l.functionArray(elf.DT_INIT_ARRAY, elf.DT_INIT_ARRAYSZ)
	if err != nil {
		return err
	}
	for _, at := range functions {
		if l.isFrameDummy(at) {
			continue
		}
		if err := l.addConstructor(at, "a constructor"); err != nil {
			return err
		}
	}
	if l.initialises {
		return nil
	}
	return l.checkDestructors()
}

func (l *layout) addConstructor(at uint64, what string) error {
	if !l.initialises {
		return blockedf("has %s", what)
	}
	if !l.inSegment(at, 1, elf.PF_X) {
		return blockedf("has %s at %#x, where it has no code", what, at)
	}
	l.constructors = append(l.constructors, at-l.low)
	return nil
}

// checkDestructors refuses a container with functions that would have to run
// after its last use: nobody calls them.
func (l *layout) checkDestructors() error {
	if at, ok := l.file.DynamicValue(elf.DT_FINI); ok && !l.codeIs(at, crtFini) {
		return blockedf("has a finalisation function (DT_FINI)")
	}
	functions, err := l.functionArray(elf.DT_FINI_ARRAY, elf.DT_FINI_ARRAYSZ)
	if err != nil {
		return err
	}
	for _, at := range functions {
		if !l.codeIs(at, crtDestroy) {
			return blockedf("has a destructor")
		}
	}
	return nil
}

// functionArray gives the addresses in an array of functions, which relocations
// fill in.
func (l *layout) functionArray(tag, sizeTag elf.DynTag) ([]uint64, error) {
	at, _ := l.file.DynamicValue(tag)
	size, _ := l.file.DynamicValue(sizeTag)
	if size == 0 {
		return nil, nil
	}
	if size > 8*maxConstructors {
		return nil, blockedf("has %d functions in %v, at most %d are supported", size/8, tag, maxConstructors)
	}
	targets := make(map[uint64]elfinfo.Relocation)
	for _, r := range l.relocations {
		targets[r.Offset] = r
	}
	var out []uint64
	for ; size >= 8; size, at = size-8, at+8 {
		r, ok := targets[at]
		sym := l.facts.table[r.Symbol]
		switch {
		case ok && r.Type == elf.R_X86_64_RELATIVE:
			out = append(out, uint64(r.Addend))
		case ok && r.Type == elf.R_X86_64_64 && r.Symbol != 0 && !sym.Undefined && !sym.Absolute && sym.Kind == "func":
			out = append(out, sym.Address+uint64(r.Addend))
		default:
			return nil, blockedf("has an entry of %v that leads to no function of its own", tag)
		}
	}
	return out, nil
}

// construct has the target call the constructors of what has been brought into
// region g at base. It returns the loan that is left. If it fails the region is
// unmapped; but not if a constructor has run, which may have handed out
// addresses in it.
func (j *job) construct(t *tracer, pr *prepared, base uint64, g region, l *loan) (*loan, error) {
	functions := j.constructors(pr, base, g)
	if len(functions) == 0 {
		return l, nil
	}
	if l != nil {
		if err := l.dismiss(); err != nil {
			return nil, err
		}
	}
	rules := callRules{asleep: true, limit: constructorLimit, suspendSeccomp: j.in.opts.SuspendSeccomp}
	_, err := j.callFunctions(t, functions, rules)
	var failure *callFailure
	if err == nil || errors.As(err, &failure) || errors.Is(err, errStuck) || errors.Is(err, ErrGone) {
		return nil, err
	}
	return nil, errors.Join(err, j.discard(t, span{base, base + g.size}))
}

// constructors lists the constructors of what is to be loaded, of one container
// after the other.
func (j *job) constructors(pr *prepared, base uint64, g region) []remoteFunction {
	args := [3]uint64{}
	var functions []remoteFunction
	for i, im := range pr.images {
		for _, offset := range im.layout.constructors {
			if len(functions) == 0 {
				args = j.p.arguments()
			}
			name := fmt.Sprintf("the constructor at %#x of %s", offset+im.layout.low, path.Base(pr.load[i].c.Name))
			at := base + g.images[i] + offset
			functions = append(functions, remoteFunction{name: name, address: at, args: args})
		}
	}
	return functions
}

// arguments are what ld.so passes to a constructor: argc, argv and envp, as the
// kernel put them on the stack of the program (psABI 3.4.1); zeros where they
// are not there any more.
func (p *process) arguments() [3]uint64 {
	const most = 1 << 20
	argc, err := p.readWord(p.layout.stack)
	if err != nil || argc > most {
		return [3]uint64{}
	}
	argv := p.layout.stack + 8
	envp := argv + 8*(argc+1)
	if end, err := p.readWord(envp - 8); err != nil || end != 0 {
		return [3]uint64{}
	}
	return [3]uint64{argc, argv, envp}
}
