package rpmmd

import "strings"

// EnvPrefix begins the names of the environment variables of a repository:
// LPBUILD_REPO_NAME_, its name in upper case, with "_" for every byte that is
// not a letter or digit of ASCII.
func EnvPrefix(name string) string {
	upper := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	return "LPBUILD_REPO_" + upper + "_"
}
