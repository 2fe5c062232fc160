package injector

// throwers are symbols that code which throws exceptions, or lets them pass
// with clean-up of its own, refers to (Itanium C++ ABI, Level II).
var throwers = []string{"__cxa_throw", "__cxa_rethrow", "__gxx_personality_v0", "_Unwind_RaiseException", "_Unwind_ForcedUnwind"}

// harmless are functions of the C++ library that throw nothing.
var harmless = map[string]bool{
	"_ZdlPv": true, "_ZdaPv": true, "_ZdlPvm": true, "_ZdaPvm": true, // operator delete
	"__cxa_atexit": true, "__cxa_finalize": true, "__cxa_guard_release": true, "__cxa_pure_virtual": true,
}

// mayThrow refuses a live patch that refers to a function of an object whose
// code throws C++ exceptions: one of them would have to pass through the live
// patch's frames, of which no unwinder knows, and end the process. What libc
// has, too, does not throw, whoever stands in for it (malloc).
func (s *scope) mayThrow(d definition) error {
	if d.sym.Kind != "func" && d.sym.Kind != "ifunc" || harmless[d.sym.Name] {
		return nil
	}
	facts, err := d.owner.cached.symbols()
	if err != nil || !facts.throws {
		return err
	}
	for _, o := range s.order {
		if o.soname != "libc.so.6" {
			continue
		}
		if facts, err := o.cached.symbols(); err != nil || len(facts.defined[d.sym.Name]) > 0 {
			return err
		}
	}
	return blockedf("it refers to %s of %s, which may throw a C++ exception, and a replacement has no registered unwind information",
		d.sym.Name, d.owner.called())
}
