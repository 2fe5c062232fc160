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

// vendor is the name under which a script has the keys of its repository's
// vendor: scripts run side by side.
type vendor struct{}

// signer is the key of a name.
func signer(ts *testscript.TestScript, name string) *openpgp.Entity {
	e := ts.Value(vendor{}).(map[string]*openpgp.Entity)[name]
	if e == nil {
		ts.Fatalf("no key %s", name)
	}
	return e
}

// TestTrust runs the scripts of testdata/trust, which need a repository.
func TestTrust(t *testing.T) {
	requireTool(t, "createrepo_c")
	requireTool(t, "gcc")
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "trust"),
		RequireExplicitExec: true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("XDG_CACHE_HOME", filepath.Join(env.WorkDir, ".cache"))
			env.Setenv("TMPDIR", env.WorkDir)
			env.Values[vendor{}] = make(map[string]*openpgp.Entity)
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exitcode": exitCode, "key": newKey, "package": newPackage, "index": index,
		},
	})
}

// newKey is "key NAME": it sets $NAME to the fingerprint of a new key and writes
// the public key to the file NAME.
func newKey(ts *testscript.TestScript, _ bool, args []string) {
	e, err := openpgp.NewEntity(args[0], "", args[0]+"@example.org", &packet.Config{Algorithm: packet.PubKeyAlgoEdDSA})
	ts.Check(err)
	var b bytes.Buffer
	ts.Check(e.Serialize(&b))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
	ts.Setenv(args[0], fmt.Sprintf("%X", e.PrimaryKey.Fingerprint))
	ts.Value(vendor{}).(map[string]*openpgp.Entity)[args[0]] = e
}

// newPackage is "package FILE VERSION LIBRARY KEY": it writes the RPM FILE.
func newPackage(ts *testscript.TestScript, _ bool, args []string) {
	r, err := rpmpack.NewRPM(rpmpack.RPMMetaData{Name: "demo", Version: args[1], Release: "1", Arch: "x86_64",
		Epoch: rpmpack.NoEpoch, Compressor: "zstd", BuildTime: time.Unix(1714521600, 0)})
	ts.Check(err)
	lib, err := os.ReadFile(ts.MkAbs(args[2]))
	ts.Check(err)
	r.AddFile(rpmpack.RPMFile{Name: "/lib64/libdemo.so.1", Mode: 0o755, Body: lib})
	r.SetPGPSigner(func(data []byte) ([]byte, error) {
		var b bytes.Buffer
		err := openpgp.DetachSign(&b, signer(ts, args[3]), bytes.NewReader(data), nil)
		return b.Bytes(), err
	})
	var b bytes.Buffer
	ts.Check(r.Write(&b))
	ts.Check(os.MkdirAll(filepath.Dir(ts.MkAbs(args[0])), 0o755))
	ts.Check(os.WriteFile(ts.MkAbs(args[0]), b.Bytes(), 0o644))
}

// index is "index FOLDER REVISION KEY": it makes and signs the metadata.
func index(ts *testscript.TestScript, _ bool, args []string) {
	out, err := exec.Command("createrepo_c", "--quiet", "--no-database", "--set-timestamp-to-revision", "--revision", args[1], ts.MkAbs(args[0])).CombinedOutput()
	if err != nil {
		ts.Fatalf("createrepo_c: %v\n%s", err, out)
	}
	name := filepath.Join(ts.MkAbs(args[0]), "repodata", "repomd.xml")
	md, err := os.ReadFile(name)
	ts.Check(err)
	var sig bytes.Buffer
	ts.Check(openpgp.ArmoredDetachSign(&sig, signer(ts, args[2]), bytes.NewReader(md), nil))
	ts.Check(os.WriteFile(name+".asc", sig.Bytes(), 0o644))
}
