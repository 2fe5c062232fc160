package livepatch

import (
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
)

// patchSource is a container with two replacements, a pointer that receives a
// private symbol's address, and a tls_index.
const patchSource = `
struct tls_index { unsigned long module, offset; };
int *klp_counter;
static int *hidden_counter __attribute__((used));
struct tls_index klp_banner;
const int constant = 3;
static int helper(int x) { return x * 2; }
int value_lp(void) { return helper(21) + (klp_counter ? *klp_counter : 0); }
int other_lp(void) { return 7 + klp_banner.module; }
`

// needTool returns the path of a program that a test runs. Under CI a missing
// one is a failure.
func needTool(t testing.TB, name string) string {
	t.Helper()
	path, err := exec.LookPath(name)
	if err == nil {
		return path
	}
	if os.Getenv("CI") == "true" {
		t.Fatalf("%s is not installed", name)
	}
	t.Skipf("%s is not installed", name)
	return ""
}

func run(t testing.TB, name string, args ...string) string {
	t.Helper()
	cmd := exec.Command(needTool(t, name), args...)
	cmd.Env = append(os.Environ(), "LC_ALL=C")
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%v: %v\n%s", cmd.Args, err, out)
	}
	return string(out)
}

// compile links C source into a shared object and returns its bytes.
func compile(t testing.TB, source string, flags ...string) []byte {
	t.Helper()
	dir := t.TempDir()
	in, out := filepath.Join(dir, "patch.c"), filepath.Join(dir, "patch.so")
	writeFile(t, in, []byte(source))
	args := append([]string{"-shared", "-fPIC", "-nostartfiles", "-Wl,--build-id=sha1", "-o", out, in}, flags...)
	run(t, "gcc", args...)
	return readFile(t, out)
}

var fixture struct {
	sync.Once
	data []byte
}

// patchELF returns patchSource compiled and linked; a copy, for tests that damage it.
func patchELF(t testing.TB) []byte {
	t.Helper()
	fixture.Do(func() { fixture.data = compile(t, patchSource) })
	if fixture.data == nil {
		needTool(t, "gcc")
		t.Fatal("the fixture did not compile")
	}
	return append([]byte(nil), fixture.data...)
}

func writeFile(t testing.TB, name string, data []byte) {
	t.Helper()
	if err := os.WriteFile(name, data, 0o755); err != nil {
		t.Fatal(err)
	}
}

func readFile(t testing.TB, name string) []byte {
	t.Helper()
	data, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return data
}

const patchDescription = `! bsc#1200316, jsc#SLE-20049
! and CVE-2021-3449
patch.so
@/lib64/libtarget.so.1
value:value_lp
other@second.c:other_lp
#counter@first.c:klp_counter
#%banner:klp_banner
#table:hidden_counter:4040:0
`

func parse(t testing.TB, src string) *Description {
	t.Helper()
	d, err := ParseDescription("patch.dsc", []byte(src))
	if err != nil {
		t.Fatal(err)
	}
	return d
}

func testBuildID() []byte {
	id := make([]byte, 20)
	for i := range id {
		id[i] = byte(i + 1)
	}
	return id
}

const testSHA256 = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855"

func testInfo() *Info {
	return &Info{
		Format: InfoFormat, Set: "libtarget-livepatches", SetVersion: "0.1", Patch: "value",
		NEVRAs: []string{"libtarget1-1.0-1.x86_64", "libtarget1-1.0-2.x86_64"}, Library: "/lib64/libtarget.so.1",
		Soname: "libtarget.so.1", BuildID: "0102030405060708090a0b0c0d0e0f1011121314", Toolchain: "gcc 12.2.0, GNU ld 2.40",
		Functions: []Function{
			{Old: "value", New: "value_lp", Address: 0x1100, Size: 64, SHA256: testSHA256, Entry: "stock", Length: 6},
			{Old: "other@second.c", New: "other_lp", Address: 0x1180, Size: 32, SHA256: testSHA256, Entry: "padded", Offset: 4, Length: 2, CallsBack: true},
		},
	}
}

func testInput(t testing.TB) PackInput {
	return PackInput{
		Description: parse(t, patchDescription), BuildID: testBuildID(), Addresses: []uint64{0x1100, 0x1180},
		TargetOffsets: []uint64{0x4010, 0x10, 0}, Info: testInfo(),
	}
}

// packed returns a complete container.
func packed(t testing.TB) []byte {
	t.Helper()
	out, err := Pack(patchELF(t), testInput(t))
	if err != nil {
		t.Fatal(err)
	}
	return out
}
