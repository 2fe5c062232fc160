package versions

import (
	"bytes"
	"errors"
	"io/fs"
	"path/filepath"
	"strings"
	"testing"
)

const goodLock = `{"format":1,"package":"demo","builds":[{"nevra":"demo-1:1.9-1.x86_64","arch":"x86_64","repository":"lab",
"location":"demo.rpm","rpm_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","rpm_size":1,
"library":"/lib64/libdemo.so.1","soname":"libdemo.so.1","build_id":"00ff","build_time":"2024-05-01T00:00:00Z","record":"demo.json"}]}`

func TestDecodeLock(t *testing.T) {
	lock, err := decodeLock([]byte(goodLock))
	if err != nil || len(lock.Builds) != 1 {
		t.Fatal(lock, err)
	}
	for _, tt := range []struct{ name, from, to string }{
		{"pin that is no fingerprint", `"builds":[`, `"repositories":[{"name":"lab","keys":["00FF"]}],"builds":[`},
		{"signer in lower case", `"builds":[`, `"repositories":[{"name":"lab","keys":[],"signed_by":"` + strings.Repeat("ab", 20) + `"}],"builds":[`},
		{"two pins of one name", `"builds":[`, `"repositories":[{"name":"lab","keys":[]},{"name":"lab","keys":[]}],"builds":[`},
		{"one record of two builds", `"record":"demo.json"}`, `"record":"demo.json"},{"nevra":"demo-1:2-1.x86_64",
"rpm_sha256":"e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","soname":"libdemo.so.1","build_id":"00fe",
"build_time":"2024-05-01T00:00:00Z","record":"demo.json"}`},
		{"newer format", `"format":1`, `"format":2`},
		{"no format", `"format":1,`, ``},
		{"unknown field", `"format":1`, `"format":1,"future":true`},
		{"record outside", `"demo.json"`, `"../demo.json"`},
		{"record hidden", `"demo.json"`, `".json"`},
		{"digest outside", `e3b0c44298fc1c14`, `../../../../../x`},
		{"NEVRA outside", `demo-1:1.9-1.x86_64`, `demo/..-1-1.x86_64`},
		{"not JSON", `{`, `[`},
	} {
		bad := strings.Replace(goodLock, tt.from, tt.to, 1)
		if bad == goodLock {
			t.Fatalf("%s: nothing changed", tt.name)
		}
		if _, err := decodeLock([]byte(bad)); err == nil {
			t.Errorf("%s: accepted", tt.name)
		}
	}
	if _, err := ReadLock(filepath.Join(t.TempDir(), "nowhere")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("no lock: %v", err)
	}
}

// FuzzDecodeLock: what is read and written again is the same.
func FuzzDecodeLock(f *testing.F) {
	f.Add([]byte(goodLock))
	f.Add([]byte(strings.Replace(goodLock, `"builds":[`, `"repositories":[{"name":"lab","keys":["`+strings.Repeat("AB", 20)+
		`"],"signed_by":"`+strings.Repeat("AB", 20)+`","revision":"7","time":"2024-05-01T00:00:00Z"}],"builds":[`, 1)))
	f.Fuzz(func(t *testing.T, data []byte) {
		lock, err := decodeLock(data)
		if err != nil {
			return
		}
		once, err := lock.encode()
		if err != nil {
			t.Fatal(err)
		}
		again, err := decodeLock(once)
		if err != nil {
			t.Fatalf("%v\n%s", err, once)
		}
		if twice, _ := again.encode(); !bytes.Equal(once, twice) {
			t.Errorf("%s\n%s", once, twice)
		}
	})
}
