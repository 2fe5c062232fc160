package pipeline

import "github.com/lpbuild/lpbuild/versions"

// openStore opens the folder of unpacked libraries; "" is the default one.
func openStore(dir string) (libraries, error) {
	return versions.OpenStore(dir)
}
