package injector

import (
	"os"
	"os/user"
	"strconv"
	"strings"

	"github.com/lpbuild/lpbuild/injector/fnmatch"
)

// The variables with which libpulp is told to keep live patches away from a
// process (libpulp(7)): lists of patterns, with ":" between them, for the path of
// the program, and for name or number of its real user and its real group.
const (
	disableOnPath   = "LIBPULP_DISABLE_ON_PATH"
	disableOnUsers  = "LIBPULP_DISABLE_ON_USERS"
	disableOnGroups = "LIBPULP_DISABLE_ON_GROUPS"
)

// forbiddenByEnvironment honours them. Names are those of this machine, also for
// a process in a container. A pattern that can't be matched forbids.
func (j *job) forbiddenByEnvironment() error {
	values, err := j.environment(disableOnPath, disableOnUsers, disableOnGroups)
	if err != nil || len(values) == 0 {
		return err
	}
	program, err := os.Readlink(j.p.path("exe"))
	if err != nil {
		return procError(err)
	}
	st, err := j.p.status()
	if err != nil {
		return err
	}
	uid, gid := strconv.Itoa(st.RealUID), strconv.Itoa(st.RealGID)
	var userName, groupName string
	if u, err := user.LookupId(uid); err == nil {
		userName = u.Username
	}
	if g, err := user.LookupGroupId(gid); err == nil {
		groupName = g.Name
	}
	for _, v := range []struct{ variable, id, name string }{
		{disableOnPath, "", strings.TrimSuffix(program, " (deleted)")},
		{disableOnUsers, uid, userName},
		{disableOnGroups, gid, groupName},
	} {
		for _, word := range words(values[v.variable]) {
			if disables(word, v.id, v.name) {
				return disabledf("%s in its environment forbids live patches: %.256q", v.variable, word)
			}
		}
	}
	return nil
}

// disables says whether a word of a list means an id or a name.
func disables(word, id, name string) bool {
	if id != "" && isNumber(word) && strings.TrimLeft(word, "0") == strings.TrimLeft(id, "0") {
		return true
	}
	if name == "" {
		return false
	}
	ok, err := fnmatch.MatchExtended(word, name)
	return ok || err != nil
}
