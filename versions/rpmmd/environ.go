package rpmmd

import (
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"net/http"
	"net/url"
	"os"
	"strings"
)

// EnvPrefix begins the names of the environment variables of a repository:
// LPBUILD_REPO_NAME_, its name in upper case, with "_" for every byte that is
// not a letter or digit of ASCII. Then come
//
//	USER, PASSWORD  for HTTP's Basic scheme
//	TOKEN           for its Bearer scheme
//	QUERY           what is appended to every URL after "?"
//	CERT, KEY       PEM files of a TLS client certificate; KEY may be in CERT
func EnvPrefix(name string) string {
	upper := strings.Map(func(r rune) rune {
		if r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' {
			return r
		}
		return '_'
	}, strings.ToUpper(name))
	return "LPBUILD_REPO_" + upper + "_"
}

// ErrCredentials says that credentials are incomplete, cannot be read, or lie
// open to others.
var ErrCredentials = errors.New("credentials")

// access is what a server wants to see of us. The zero value is nothing.
type access struct {
	user, password, token, query string

	certificate *tls.Certificate
}

// environment reads the credentials of the repository called name.
func environment(name string) (access, error) {
	prefix := EnvPrefix(name)
	get := func(key string) string { return os.Getenv(prefix + key) }
	a := access{user: get("USER"), password: get("PASSWORD"), token: get("TOKEN"), query: strings.TrimPrefix(get("QUERY"), "?")}
	switch {
	case (a.user == "") != (a.password == ""):
		return access{}, fmt.Errorf("%w: of %sUSER and %[2]sPASSWORD one alone is set", ErrCredentials, prefix)
	case a.user != "" && a.token != "":
		return access{}, fmt.Errorf("%w: %sUSER and %[2]sTOKEN are both set", ErrCredentials, prefix)
	case strings.Contains(a.user, ":"):
		return access{}, fmt.Errorf("%w: %sUSER: a user has no colon", ErrCredentials, prefix)
	}
	for key, value := range map[string]string{"USER": a.user, "PASSWORD": a.password, "TOKEN": a.token, "QUERY": a.query} {
		if strings.ContainsFunc(value, func(r rune) bool { return r < ' ' || r == 0x7f }) {
			return access{}, fmt.Errorf("%w: %s%s has control characters", ErrCredentials, prefix, key)
		}
	}
	cert, key := get("CERT"), get("KEY")
	if cert == "" && key == "" {
		return a, nil
	}
	if key == "" {
		key = cert
	}
	pair, err := tls.LoadX509KeyPair(cert, key)
	if err != nil {
		return access{}, fmt.Errorf("%w: %sCERT, %[2]sKEY: %w", ErrCredentials, prefix, err)
	}
	a.certificate = &pair
	return a, nil
}

// hide tells s what must not be seen.
func (a access) hide(s *secrets) {
	if a.password != "" {
		s.addBasic(a.user, a.password)
	}
	s.add(a.token, a.query)
	values, _ := url.ParseQuery(a.query)
	for _, list := range values {
		s.add(list...)
	}
}

// authorize adds the credentials to a request.
func (a access) authorize(req *http.Request) {
	switch {
	case a.token != "":
		req.Header.Set("Authorization", "Bearer "+a.token)
	case a.user != "" || a.password != "":
		req.SetBasicAuth(a.user, a.password)
	}
	if a.query != "" {
		u := *req.URL
		if u.RawQuery != "" {
			u.RawQuery += "&"
		}
		u.RawQuery += a.query
		req.URL = &u
	}
}

// authorities reads a PEM file of certificate authorities, and adds them to
// those of the system in all.
func authorities(file string) (only, all *x509.CertPool, err error) {
	data, err := os.ReadFile(file)
	if err != nil {
		return nil, nil, err
	}
	if all, err = x509.SystemCertPool(); err != nil {
		all = x509.NewCertPool()
	}
	only = x509.NewCertPool()
	if !only.AppendCertsFromPEM(data) || !all.AppendCertsFromPEM(data) {
		return nil, nil, fmt.Errorf("%s: no certificate in PEM form", file)
	}
	return only, all, nil
}
