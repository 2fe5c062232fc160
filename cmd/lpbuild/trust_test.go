package main

import (
	"bytes"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/ProtonMail/go-crypto/openpgp"
	"github.com/ProtonMail/go-crypto/openpgp/packet"
	"github.com/google/rpmpack"
	"github.com/rogpeppe/go-internal/testscript"
)

// vendor is who signs the repository of a script.
type vendor struct{ keys map[string]*openpgp.Entity }

// TestTrust runs the scripts of testdata/trust, which need a repository.
func TestTrust(t *testing.T) {
	requireTool(t, "createrepo_c")
	requireTool(t, "gcc")
	v := &vendor{keys: make(map[string]*openpgp.Entity)}
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "trust"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("TMPDIR", env.WorkDir)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode, "key": v.key, "package": v.pkg, "index": v.index,
		},
	})
}

// key is "key NAME": it sets $NAME to the fingerprint of a new key and writes
// the public key to the file NAME.
func (v *vendor) key(ts *testscript.TestScript, _ bool, args []string) {
	e, err := openpgp.NewEntity(args[0], "", args[0]+"@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	ts.Check(err)
	var b bytes.Buffer
	ts.Check(e.Serialize(&b))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
	ts.Setenv(args[0], fmt.Sprintf("%X", e.PrimaryKey.Fingerprint))
	v.keys[args[0]] = e
}

// pkg is "package FILE VERSION LIBRARY KEY": it writes the RPM FILE.
func (v *vendor) pkg(ts *testscript.TestScript, _ bool, args []string) {
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "demo", Version: args[1], Release: "1", Arch: "x86_64",
		Epoch: rpmpack.NoEpoch, Compressor: "zstd", BuildTime: time.Unix(1714521600, 0)})
	ts.Check(err)
	lib, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	r.AddFile(rpmpack.RPMFile{Name: "/lib64/libdemo.so.1", Mode: 0o755, Body: lib})
	r.SetPGPSigner(func(data []byte) ([]byte, error) {
		var b bytes.Buffer
		err := openpgp.DetachSign(&b, v.keys[args[3]], bytes.NewReader(data), nil)
		return b.Bytes(), err
	})
	var b bytes.Buffer
	ts.Check(r.Write(&b))
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
}

// index is "index FOLDER REVISION KEY": it makes and signs the metadata.
func (v *vendor) index(ts *testscript.TestScript, _ bool, args []string) {
	out, err := exec.Command("createrepo_c", "--quiet", "--no-database", "--set-timestamp-to-revision", "--revision", args[1], ts.MkAbs(args[0])).CombinedOutput()
	if err != nil {
		ts.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	name := filepath.Join(ts.MkAbs(args[0]), "repodata", "repomd.xml")
	md, err := os.ReadFile(name)
	ts.Check(err)
	var sig bytes.Buffer
	ts.Check(openpgp.ArmoredDetachSign(&sig, v.keys[args[2]], bytes.NewReader(md), nil))
	ts.Check(os.WriteFile(name+".asc", sig.Bytes(), 0o644))
}
