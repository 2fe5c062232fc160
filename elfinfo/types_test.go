package elfinfo

import (
	"slices"
	"strings"
	"testing"
)

// record records names and types of a library.
func record(t testing.TB, l library, w Wanted) *Build {
	t.Helper()
	f := open(t, compile(t, l))
	b, err := NewRecord(f, nil, w)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

const typesSource = `
	struct hidden;
	enum color { RED, GREEN = 5, BLUE = -1 };
	union either { int i; double d; };
	typedef struct node *link;
	struct node {
		char tag;
		unsigned low : 3, high : 7;
		long long : 0;
		_Bool flag : 1;
		union either value;
		struct { short a, b; };
		int grid[2][3];
		link next;
		int (*call)(link, int, ...);
		struct hidden *secret;
		enum color color;
		char rest[];
	} __attribute__((aligned(32)));
	typedef int vector __attribute__((vector_size(16)));
	struct node first_node;
	__thread double per_thread;
	static volatile const unsigned limit = 7;
	unsigned f(link l, const char *restrict s, vector v, enum color c) { return l->low + *s + v[0] + c + limit; }
	int old();
	int old() { return 1; }
	float many(int n, ...) { return n; }
`

func TestTypesOfFunctions(t *testing.T) {
	for _, flags := range [][]string{{"-g"}, {"-g", "-gdwarf-4"}, {"-g", "-gdwarf-3", "-gstrict-dwarf"}} {
		t.Run(strings.Join(flags, " "), func(t *testing.T) {
			b := record(t, library{source: typesSource, flags: flags}, Wanted{
				Names: []string{"f", "old", "many", "first_node", "per_thread", "limit"},
				Types: []string{"struct node", "link", "union either", "enum color", "struct nothing", "node"},
			})
			encode(t, b)
			checkNode(t, b)
			f := b.Types[function(t, b, "f").Type]
			if f.Kind != TypeFunction || len(f.Parameters) != 4 || f.Variadic || f.Unprototyped || b.Types[f.Of].Name != "unsigned int" {
				t.Errorf("f: %+v", f)
			}
			if v := b.Types[f.Parameters[2]]; v.Name != "vector" || b.Types[v.Of].Encoding != "vector" || b.Types[v.Of].Count != 4 {
				t.Errorf("vector: %+v, %+v", v, b.Types[v.Of])
			}
			if old := b.Types[function(t, b, "old").Type]; !old.Unprototyped || old.Variadic {
				t.Errorf("old: %+v", old)
			}
			if many := b.Types[function(t, b, "many").Type]; !many.Variadic || many.Unprototyped || len(many.Parameters) != 1 {
				t.Errorf("many: %+v", many)
			}
			for name, want := range map[string]TypeKind{"first_node": TypeStruct, "per_thread": TypeBase, "limit": TypeVolatile} {
				if v, err := b.Variable(name); err != nil || b.Types[v.Type].Kind != want {
					t.Errorf("%s: %+v, %v", name, b.Types[v.Type], err)
				}
			}
		})
	}
}

func checkNode(t *testing.T, b *Build) {
	t.Helper()
	for name, n := range map[string]int{"struct node": 1, "link": 1, "union either": 1, "enum color": 1, "struct nothing": 0, "node": 1} {
		if got := b.TypeNames[name]; got == nil || len(got) != n {
			t.Fatalf("%s: %v, want %d", name, got, n)
		}
	}
	node := b.Types[b.TypeNames["struct node"][0]]
	type place struct {
		offset uint64
		bit    uint8
		bits   uint64
		kind   TypeKind
	}
	want := map[string]place{
		"tag": {0, 0, 0, TypeBase}, "low": {1, 0, 3, TypeBase}, "high": {1, 3, 7, TypeBase}, "flag": {8, 0, 1, TypeBase},
		"value": {16, 0, 0, TypeUnion}, "": {24, 0, 0, TypeStruct}, "grid": {28, 0, 0, TypeArray}, "next": {56, 0, 0, TypeTypedef},
		"call": {64, 0, 0, TypePointer}, "secret": {72, 0, 0, TypePointer}, "color": {80, 0, 0, TypeEnum}, "rest": {84, 0, 0, TypeArray},
	}
	if node.Size != 96 || len(node.Members) != len(want) {
		t.Fatalf("node: %+v", node)
	}
	for _, m := range node.Members {
		if got := (place{m.Offset, m.Bit, m.Bits, b.Types[m.Type].Kind}); got != want[m.Name] {
			t.Errorf("%q: %+v, want %+v", m.Name, got, want[m.Name])
		}
		at := b.Types[m.Type]
		switch m.Name {
		case "grid":
			if inner := b.Types[at.Of]; at.Count != 2 || inner.Kind != TypeArray || inner.Count != 3 {
				t.Errorf("grid: %+v of %+v", at, inner)
			}
		case "rest":
			if at.Count != UnknownCount {
				t.Errorf("rest: %+v", at)
			}
		case "next":
			if back := b.Types[at.Of]; back.Kind != TypePointer || back.Of != b.TypeNames["struct node"][0] {
				t.Errorf("next: %+v", back)
			}
		case "secret":
			if s := b.Types[at.Of]; !s.Incomplete || s.Name != "hidden" {
				t.Errorf("hidden: %+v", s)
			}
		case "color":
			if !slices.Equal(at.Values, []EnumValue{{"RED", 0}, {"GREEN", 5}, {"BLUE", -1}}) {
				t.Errorf("color: %+v", at)
			}
		}
	}
}

// Units describe the types that they use each for itself.
func TestTypesOfSeveralUnits(t *testing.T) {
	const common = "struct list { struct list *next; int n; }; struct wrap { struct list l; };"
	b := record(t, library{flags: []string{"-g"}, sources: map[string]string{
		"a.c": common + "struct odd { int a; }; int fa(struct wrap *w, struct odd *o) { return w->l.n + o->a; }",
		"b.c": common + "struct odd { long a; }; int fb(struct wrap *w, struct odd *o) { return w->l.n - (int)o->a; }",
		"c.c": "struct odd; struct list; int fc(struct odd *o, struct list *l) { return !o + !l; }",
	}}, Wanted{Names: []string{"fa", "fb", "fc"}, Types: []string{"struct list", "struct odd", "struct wrap"}})
	if n := len(b.TypeNames["struct list"]); n != 1 {
		t.Errorf("%d layouts of list", n)
	}
	if n := len(b.TypeNames["struct odd"]); n != 2 {
		t.Errorf("%d layouts of odd", n)
	}
	a, c := b.Types[function(t, b, "fa").Type], b.Types[function(t, b, "fb").Type]
	if a.Parameters[0] != c.Parameters[0] || a.Parameters[1] == c.Parameters[1] {
		t.Errorf("parameters %v and %v", a.Parameters, c.Parameters)
	}
	again := record(t, library{flags: []string{"-g"}, source: common + "int fa(struct wrap *w, struct list *l) { return w->l.n; }"}, Wanted{Names: []string{"fa"}})
	if n := len(again.Types); n != 7 {
		t.Errorf("%d types: %+v", n, again.Types) // void, fa, int, wrap *, list *, wrap, list
	}
}

func TestTypesOfCPP(t *testing.T) {
	b := record(t, library{flags: []string{"-g"}, sources: map[string]string{"a.cc": `
		namespace deep { namespace er { struct base { virtual int size(); virtual ~base(); int b; static int shared; }; enum class kind : char { A }; } }
		struct other { long o; };
		class thing : public deep::er::base, public virtual other { public: int t; int &ref; int size(); struct inner { char c; } in; thing(int &r); deep::er::kind k; int plain(int); };
		int deep::er::base::size() { return b; }
		deep::er::base::~base() {}
		int thing::size() { return t; }
		thing::thing(int &r) : ref(r) {}
		int thing::plain(int x) { return t + x + in.c + (int)k; }
		extern "C" int use(thing &x, thing &&y, int thing::*p) { return x.plain(1) + y.t + x.*p; }
		extern "C" int none() { return 1; }`}},
		Wanted{Names: []string{"use", "none", "_ZN5thing5plainEi"}, Types: []string{"deep::er::base", "struct thing", "thing::inner", "enum deep::er::kind"}})
	encode(t, b)
	use := b.Types[function(t, b, "use").Type]
	var kinds []TypeKind
	for _, p := range use.Parameters {
		kinds = append(kinds, b.Types[p].Kind)
	}
	if !slices.Equal(kinds, []TypeKind{TypeReference, TypeRvalue, TypeMemberPtr}) {
		t.Errorf("use: %v", kinds)
	}
	if none := b.Types[function(t, b, "none").Type]; none.Unprototyped {
		t.Error("C++ has no unprototyped functions")
	}
	if plain := b.Types[function(t, b, "_ZN5thing5plainEi").Type]; len(plain.Parameters) != 2 || b.Types[plain.Of].Name != "int" {
		t.Errorf("plain: %+v", plain)
	}
	base := b.Types[b.TypeNames["deep::er::base"][0]]
	if base.Name != "deep::er::base" || !base.Virtual || len(base.Slots) != 2 || len(base.Members) != 2 {
		t.Errorf("base: %+v", base)
	}
	thing := b.Types[b.TypeNames["struct thing"][0]]
	if !thing.Members[0].Base || thing.Members[0].VirtualBase || !thing.Members[1].VirtualBase || b.Types[thing.Members[0].Type].Name != "deep::er::base" {
		t.Errorf("thing: %+v", thing)
	}
	if in := b.Types[b.TypeNames["thing::inner"][0]]; in.Name != "thing::inner" || in.Size != 1 {
		t.Errorf("inner: %+v", in)
	}
	if k := b.Types[b.TypeNames["enum deep::er::kind"][0]]; k.Size != 1 || b.Types[k.Of].Encoding != "char" {
		t.Errorf("kind: %+v", k)
	}
}
