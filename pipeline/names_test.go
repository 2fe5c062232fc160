package pipeline

import (
	"errors"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

const namesConfig = "name: a\nversion: 1\nlibraries: [/usr/lib64/libcrypto.so.*]\n"

// A library that went through several packages.
func TestPackagesOfALibrary(t *testing.T) {
	t.Parallel()
	c, err := ParseConfig("f", []byte(namesConfig+"package: [libopenssl1_1, libopenssl3]\ndebuginfod: [https://debuginfod.example.org, $DEBUGINFOD_URLS]\n"))
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(Names{"libopenssl1_1-debuginfo", "libopenssl3-debuginfo"}, c.DebugPackage); diff != "" {
		t.Error(diff)
	}
	if c.Summary != "Live patches for libopenssl1_1, libopenssl3" || len(c.Debuginfod) != 2 {
		t.Errorf("%+v", c)
	}
}

func TestPackageErrors(t *testing.T) {
	t.Parallel()
	for text, want := range map[string]string{
		"":                                     "f: package is missing",
		"package: []\n":                        "f:4: package is missing",
		"package: \"\"\n":                      "f:4: package is missing",
		"package:\n- one\n- ../two\n":          `f:6: package: "../two" is not allowed there`,
		"package: one\ndebug_package: [a b]\n": `f:5: debug_package: "a b" is not allowed there`,
		"package: {one: two}\n":                "f:4: ",
		"package: a\ndebuginfod: [ftp://a]\n":  "f:5: debuginfod: ",
		"package: a\ndebuginfod: [http://a]\n": "f:5: debuginfod: not the https URL",
		"package: a\ndebuginfod: [$HOME]\n":    "f:5: debuginfod: ",
		"package: a\ndebuginfod:\n- https://user:s3cret@a\n": "f:6: debuginfod: ",
	} {
		_, err := ParseConfig("f", []byte(namesConfig+text))
		var mistake *ConfigError
		if !errors.As(err, &mistake) || !strings.HasPrefix(err.Error(), want) || strings.Contains(err.Error(), "s3cret") {
			t.Errorf("%q: %v, want %s", text, err, want)
		}
	}
}
