package ulp

import (
	"bytes"
	"encoding/json"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

func TestDump(t *testing.T) {
	l := newLab(t)
	l.patch("tls", "hundreds", 200, "#%last:ti\n", "#secret:secret_lp\n")
	head := "patch id: {id}\nso filename: " + l.dir + "/tls.so\n\n* build id: {id}\n* name: libulphundreds.so.0\n"
	comments := "* comments: \n This livepatch fixes bsc#1200316, jsc#SLE-20049, and CVE-2021-3449.\n\n"
	l.ulp(0, head+"* units: 1\n\n** old_fname: hundreds\n** new_fname: number_lp\n** old_faddr: 0x{hex}\n"+
		"\nstatic references: 2\n"+
		"*** ref_name: secret_lp\n*** target_offset: {hex}\n*** patch_offset: {hex}\n*** tls variable: no\n\n"+
		"*** ref_name: ti\n*** target_offset: 0\n*** patch_offset: {hex}\n*** tls variable: yes\n\n"+comments, "", "dump", "tls.so")
	l.ulp(0, head+"* units: 0\n\nstatic references: 0\n"+comments, "", "dump", "--revert", "tls.so")
	l.ulp(0, "{id}\n", "", "dump", "-b", "tls.so")
	l.ulp(1, "", "{time} ulp: {any}\n{time} ulp: Unable to extract metadata file from libulpdozens.so.0\n", "dump", "libulpdozens.so.0")

	_, out, _ := l.run("dump", "tls.so")
	offsets := regexp.MustCompile(`patch_offset: ([0-9a-f]+)`).FindAllStringSubmatch(out, -1)
	if len(offsets) != 2 || offsets[0][1] == "0" || offsets[1][1] == "0" || offsets[0][1] == offsets[1][1] {
		t.Errorf("offsets %q", offsets)
	}
}

func TestPacker(t *testing.T) {
	const failed = "{time} ulp: metadata file generation failed.\n"
	l := newLab(t)
	for text, want := range map[string]string{
		"p.so\n@libulphundreds.so.0\nhundreds:number_lp\nnothing:number_lp\n": "p.dsc:4:1: error: symbol nothing is not present in the target\nnothing:number_lp\n^~~~~~~\n",
		"none.so\n@libulphundreds.so.0\nhundreds:number_lp\n":                 "p.dsc:1:1: error: livepatch container file not found\nnone.so\n^~~~~~~\n",
		"p.so\n@libnone.so.0\nhundreds:number_lp\n":                           "p.dsc:2:{any}: error: unable to open target file\n@libnone.so.0\n{any}^~~~{any}\n",
		"p.so\n@libulphundreds.so.0\nhundreds:nothing\n":                      "p.dsc:3:{any}: error: nothing is not an exported function of p.so\nhundreds:nothing\n{any}^{any}\n",
		// libpulp's packer crashes on these.
		"p.so\n":                           "p.dsc:1:1: error: no target line (@PATH)\np.so\n^~~~\n",
		"p.so\n@libulphundreds.so.0\n#x\n": "p.dsc:3:{any}: error: {any}\n#x\n{any}^{any}\n",
	} {
		l.container("p", "hundreds", 200)
		before, err := os.ReadFile(filepath.Join(l.dir, "p.so"))
		if err != nil {
			t.Fatal(err)
		}
		if err := os.WriteFile(filepath.Join(l.dir, "p.dsc"), []byte(text), 0o644); err != nil {
			t.Fatal(err)
		}
		l.ulp(1, want, failed, "packer", "p.dsc")
		if after, err := os.ReadFile(filepath.Join(l.dir, "p.so")); err != nil || !bytes.Equal(before, after) {
			t.Errorf("%q: p.so has changed, %v", text, err)
		}
	}
}

// The library need not be there where the container is packed, and the paths of
// a description can be replaced.
func TestPackerWithSymbolList(t *testing.T) {
	l := newLab(t)
	l.ulp(0, "", "", "extract", "libulphundreds.so.0")
	list, err := os.ReadFile(filepath.Join(l.dir, "out.json"))
	if err != nil || bytes.HasSuffix(list, []byte("\n")) || !json.Valid(list) {
		t.Fatalf("%v\n%s", err, list)
	}
	if !bytes.HasPrefix(list, []byte("{\n  \"library\":{\n    \"name\":\"libulphundreds.so.0\",\n    \"buildid\":\"")) {
		t.Errorf("%.200s", list)
	}
	if _, out, _ := l.run("extract", "libulphundreds.so.0", "-o", "-"); out != string(list) {
		t.Error("-o - writes something else than out.json has")
	}
	l.container("p", "hundreds", 200)
	if err := os.Rename(filepath.Join(l.dir, "p.so"), filepath.Join(l.dir, "q.so")); err != nil {
		t.Fatal(err)
	}
	l.ulp(0, "", "{time} ulp: metadata successfully embedded into livepatch container\n",
		"packer", "p.dsc", "-l", "q.so", "--target=out.json", "-o", "ignored")
	s := l.serve()
	if code, _, stderr := l.run("trigger", "-p", s.id(), "q.so"); code != 0 {
		t.Error(stderr)
	}
	s.answers("200 12")
}

func TestLivepatchable(t *testing.T) {
	l := newLab(t)
	l.library("plain")
	l.ulp(0, "", "{time} ulp: file 'libulphundreds.so.0' is livepatchable.\n", "livepatchable", "libulphundreds.so.0")
	l.ulp(1, "", "{time} ulp: file 'libulpplain.so.0' is not livepatchable: Missing __patchable_function_entries section.\n", "livepatchable", "libulpplain.so.0")
	l.ulp(1, "", "{time} ulp: Unable to open file 'none.so': No such file or directory.\n", "livepatchable", "none.so")
	l.ulp(1, "", "{time} ulp: Unable to open file 'ulpserv.dsc': {any}\n", "livepatchable", "ulpserv.dsc")
}

func TestPost(t *testing.T) {
	l := newLab(t)
	l.library("wide", "-fpatchable-function-entry=24,22")
	l.library("plain")
	l.ulp(0, "", "", "post", "libulphundreds.so.0")
	l.ulp(0, "", "{time} ulp: 2 of 2 entries are not those of -fpatchable-function-entry=16,14 and stay as they are\n", "post", "libulpwide.so.0")
	l.ulp(1, "", "{time} ulp: Unable to find section __patchable_function_entries in libulpplain.so.0.\n", "post", "libulpplain.so.0")
	// What was prepared can be patched.
	l.patch("hundreds1", "hundreds", 200)
	s := l.serve()
	if code, _, stderr := l.run("trigger", "-p", s.id(), "hundreds1.so"); code != 0 {
		t.Error(stderr)
	}
	s.answers("200 12")
}

func TestHelp(t *testing.T) {
	l := &lab{t: t, dir: t.TempDir()}
	for _, option := range []string{"--help", "-?", "--hel"} {
		code, out, errs := l.run("trigger", option, "--nonsense")
		if code != 0 || errs != "" || !strings.HasPrefix(out, "Usage: ulp [OPTION...] COMMAND [ARG1]\n") || !strings.Contains(out, "--disable-summarization") {
			t.Errorf("%s: exit status %d\n%s%s", option, code, out, errs)
		}
	}
	l.ulp(0, "lpctl {any}, as ulp of libpulp 0.3.17\n", "", "--version")
	l.ulp(64, "", "ulp: Too few arguments.\nTry `ulp --help' or `ulp --usage' for more information.\n")
	l.ulp(64, "", "ulp: Invalid command: frobnicate.\nTry `ulp --help' or `ulp --usage' for more information.\n", "frobnicate")
}
