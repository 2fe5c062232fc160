package main

import (
	"io"

	"github.com/lpbuild/lpbuild/cmd/internal/cli"
)

const projectFile = `A project file is strict YAML: a key that is not listed here, or that is there twice, is an error.

  name           name of the live-patch package
  version        its version, without "-"
  summary        one line
  description    a paragraph (default: the summary)
  license        SPDX expression
  url            home page
  package        the package whose library is patched, or a list: where it was
                 renamed, or libraries have packages of their own
  debug_package  the packages with their debug symbols, one or a list
                 (default: PACKAGE-debuginfo of each)
  debuginfod     list of URLs of debuginfod servers, for debug symbols that no
                 package has; $DEBUGINFOD_URLS stands for those of the
                 environment; see docs/debug-symbols.md
  libraries      list of absolute paths in the packages; patterns are allowed,
                 /lib64/NAME is also /usr/lib64/NAME, and variants of it in
                 glibc-hwcaps folders are included
  arches         list (default: x86_64)
  repositories   list of mappings: name, product, url or mirrorlist or
                 metalink, priority, keys, ca, unsigned_metadata
  support        how long after its build date a build gets live patches,
                 as "13 months" (days, weeks, months, years; default: for ever),
                 or a mapping of window, warn, until, unsupported; see
                 docs/support.md
  patches        list of folders below livepatches/ (default: all), each a name
                 or a mapping of name, versions (as ">= 2.34, < 2.36-9"),
                 unless_fixed, sources, defines, devel, waive; see
                 docs/building.md
  requires       list of further requirements of the RPM
  expect         mapping from a live patch to before and after: the lines
                 that its test program prints

The url of a repository is http, https or file, or a path relative to the project, of a folder with repodata/ or
simply with RPMs; mirrorlist and metalink are lists of such folders. product is what the builds ship in. Where several
repositories have a package, that with the lowest priority is asked (1 to 200, default 99). keys are files with OpenPGP
public keys, relative to the project; packages and metadata that none of them signed are refused, but for metadata without
any signature where unsigned_metadata is true. ca is a PEM file with the authorities of the server. docs/repositories.md
has more.`

const projectFolder = `  lpbuild.yaml          the project file
  versions.lock         every shipped build; the keys and the age that each
                        repository is held to
  versions/             the record of each: all that make and check need
  livepatches/NAME/     NAME.c, NAME.in and test.c
  keys/                 the keys that sign the repositories
  build/                containers, PROJECT_NEVRA_SONAME_BUILDID.so, and set.json
  dist/                 packages

Packages and unpacked libraries are kept in lpbuild/ in the user's cache folder ($XDG_CACHE_HOME, default ~/.cache),
compiled objects in lpbuild/build/ there.`

const environment = `LPBUILD_REPO_NAME_USER and _PASSWORD, _TOKEN, _QUERY, _CERT and _KEY are the credentials of the repository NAME, in
upper case with "_" for all but letters and digits: for HTTP's Basic and Bearer schemes, for the query of every URL, and the
files of a TLS client certificate. They go to the configured server alone. Without them, NETRC or ~/.netrc is read.

HTTPS_PROXY, HTTP_PROXY and NO_PROXY are used as by curl.`

// manPage is the manual page lpbuild(1).
func manPage() []byte {
	return cli.Man(newApp(io.Discard, io.Discard), cli.ManPage{
		Section:     "1",
		Description: about,
		Sections: []cli.ManSection{
			{Title: "FILES", Text: projectFolder},
			{Title: "PROJECT FILE", Text: projectFile},
			{Title: "ENVIRONMENT", Text: environment + "\n\nLPBUILD_CACHE is a folder for compiled objects instead of the one in the user's cache folder. Projects share it; it is kept below 4 GiB.\n\nSOURCE_DATE_EPOCH, in seconds since 1970, is the time of everything in packages; the default is the build time of the newest shipped build."},
		},
		SeeAlso: []string{"lpctl(1)", "rpm-helper(8)"},
	})
}
