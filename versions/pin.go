package versions

import (
	"errors"
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/versions/keyring"
	"github.com/lpbuild/lpbuild/versions/rpmmd"
)

// A Pin is what the lock holds a repository to: who may sign for it, and how
// new its metadata was. A later run that sees other keys or older metadata
// fails, unless Options say that the change is meant.
type Pin struct {
	// Name is the repository's name.
	Name string `json:"name"`
	// Keys are the fingerprints of the primary keys in the repository's key
	// files, sorted; any may sign packages.
	Keys []string `json:"keys"`
	// SignedBy is the fingerprint of the key that signed the metadata, "" if
	// there is no signed metadata. Signers are other keys that may: they did
	// once, or were accepted.
	SignedBy string   `json:"signed_by,omitempty"`
	Signers  []string `json:"signers,omitempty"`
	// Revision is that of repomd.xml, Time that of its newest file in UTC.
	Revision string     `json:"revision,omitempty"`
	Time     *time.Time `json:"time,omitempty"`
}

// pin returns what the project's lock holds a repository to, nil if nothing.
func (d *downloader) pin(name string) *Pin {
	if d.lock == nil {
		return nil
	}
	for i := range d.lock.Repositories {
		if d.lock.Repositories[i].Name == name {
			return &d.lock.Repositories[i]
		}
	}
	return nil
}

// checkNames wants one name for each repository: the lock knows them by it.
func (d *downloader) checkNames() error {
	known := make(map[string]bool)
	for _, r := range d.req.Repositories {
		if known[r.Name] {
			return fmt.Errorf("%w: two repositories are called %q", ErrRequest, r.Name)
		}
		known[r.Name] = true
	}
	return nil
}

// checkKeys compares the keys in a repository's files with those pinned. A key
// that is gone only narrows the trust; a new one must be accepted.
func (d *downloader) checkKeys(name string, keys *keyring.Keyring) error {
	pin := d.pin(name)
	if pin == nil {
		return nil
	}
	var fresh []string
	trusted := make(map[string]bool)
	for _, k := range keys.Keys() {
		trusted[k.Fingerprint] = k.Refused == ""
		if k.Refused == "" && !slices.Contains(pin.Keys, k.Fingerprint) && !d.accepts(k.Fingerprint) {
			fresh = append(fresh, fmt.Sprintf("%s (%s, made %s, in %s)", k.Fingerprint, k.Name, k.Created.Format(time.DateOnly), k.File))
		}
	}
	var same, gone []string
	for _, f := range pin.Keys {
		if trusted[f] {
			same = append(same, f)
		} else {
			gone = append(gone, f)
		}
	}
	if len(fresh) == 0 {
		if len(gone) > 0 {
			d.opts.Log.Info("keys are trusted no more", "repository", name, "fingerprints", strings.Join(gone, ", "))
		}
		return nil
	}
	text := "new: " + strings.Join(fresh, ", ")
	if len(gone) > 0 {
		text += "; pinned and gone: " + strings.Join(gone, ", ")
	}
	if len(same) > 0 {
		text += "; pinned and there: " + strings.Join(same, ", ")
	}
	return fmt.Errorf("repository %s: %w: the key files are not those that %s pinned: %s", name, ErrKeyChanged, LockFile, text)
}

// hold checks what a repository has just answered against its pin, and
// remembers the new pin. Without an answer, offline, the old pin stays.
func (d *downloader) hold(r Repository, keys *keyring.Keyring, p rpmmd.Provenance, answered bool) error {
	next := Pin{Name: r.Name, Keys: []string{}}
	for _, k := range keys.Keys() {
		if k.Refused == "" {
			next.Keys = append(next.Keys, k.Fingerprint)
		}
	}
	slices.Sort(next.Keys)
	next.Keys = slices.Compact(next.Keys)
	last := d.pin(r.Name)
	switch {
	case answered:
		if last != nil {
			if err := errors.Join(d.checkSigner(last, p), d.checkAge(last, p)); err != nil {
				return fmt.Errorf("repository %s: %w", r.Name, err)
			}
		}
		next.SignedBy, next.Revision = p.Signer.Fingerprint, p.Revision
		if !p.Time.IsZero() {
			next.Time = &p.Time
		}
		next.Signers = d.signers(last, next)
	case last != nil:
		next.SignedBy, next.Signers, next.Revision, next.Time = last.SignedBy, last.Signers, last.Revision, last.Time
	}
	d.pins = append(d.pins, next)
	return nil
}

// checkSigner wants the metadata signed by a key that signed it before, or that
// was accepted.
func (d *downloader) checkSigner(last *Pin, p rpmmd.Provenance) error {
	now := p.Signer.Fingerprint
	switch {
	case now == last.SignedBy || slices.Contains(last.Signers, now):
		return nil
	case now == "":
		if slices.Contains(d.opts.AcceptOlder, last.Name) {
			return nil
		}
		return fmt.Errorf("repomd.xml: %w: nothing signs it any more; %s has it signed by %s", ErrKeyChanged, LockFile, last.SignedBy)
	case last.SignedBy == "" || d.accepts(now):
		return nil
	}
	return fmt.Errorf("repomd.xml: %w: it is signed by %s (%s); %s has it signed by %s",
		ErrKeyChanged, now, p.Signer.Name, LockFile, strings.Join(append([]string{last.SignedBy}, last.Signers...), ", "))
}

// pinnedSigner adds to an error about an untrusted key which one it ought to be.
func (d *downloader) pinnedSigner(name string, err error) error {
	if pin := d.pin(name); pin != nil && pin.SignedBy != "" && errors.Is(err, ErrUntrustedKey) {
		return fmt.Errorf("%w; %s has it signed by %s", err, LockFile, pin.SignedBy)
	}
	return err
}

// signers are the keys beside next.SignedBy that may sign the metadata from now on.
func (d *downloader) signers(last *Pin, next Pin) []string {
	var out []string
	for _, f := range next.Keys {
		before := last != nil && (f == last.SignedBy || slices.Contains(last.Signers, f))
		if f != next.SignedBy && (before || d.accepts(f)) {
			out = append(out, f)
		}
	}
	return out
}

// checkAge refuses metadata that is older than what was seen before: somebody
// replays what was signed when the fix was not out. The time decides; where it
// is the same or not given, the revision does if it is a number.
func (d *downloader) checkAge(last *Pin, p rpmmd.Provenance) error {
	if slices.Contains(d.opts.AcceptOlder, last.Name) {
		return nil
	}
	if last.Time != nil && !p.Time.IsZero() && !p.Time.Equal(*last.Time) {
		if p.Time.Before(*last.Time) {
			return fmt.Errorf("repomd.xml: %w: it is of %s; %s has seen one of %s",
				ErrRollback, p.Time.Format(time.RFC3339), LockFile, last.Time.Format(time.RFC3339))
		}
		return nil
	}
	was, err1 := strconv.ParseUint(last.Revision, 10, 64)
	is, err2 := strconv.ParseUint(p.Revision, 10, 64)
	if err1 == nil && err2 == nil && is < was {
		return fmt.Errorf("repomd.xml: %w: it has revision %d; %s has seen revision %d", ErrRollback, is, LockFile, was)
	}
	return nil
}

// accepts says that Options accept the key with that fingerprint.
func (d *downloader) accepts(fingerprint string) bool {
	return slices.Contains(d.accepted, fingerprint)
}

// parseFingerprint reads a fingerprint as programs print it: upper or lower
// case, with or without spaces. A key id is too short to tell keys apart.
func parseFingerprint(s string) (string, error) {
	f := strings.ToUpper(strings.Join(strings.Fields(s), ""))
	if len(f) != 40 && len(f) != 64 || strings.Trim(f, "0123456789ABCDEF") != "" {
		return "", fmt.Errorf("%w: %.80q is not a fingerprint of 40 or 64 hexadecimal digits", ErrAccept, s)
	}
	return f, nil
}

// parseAccepted reads what Options accept. Names and fingerprints that nothing
// has are mistakes: what was meant to be accepted would not be.
func (d *downloader) parseAccepted() error {
	for _, s := range d.opts.AcceptKeys {
		f, err := parseFingerprint(s)
		if err != nil {
			return err
		}
		d.accepted = append(d.accepted, f)
	}
	for _, name := range d.opts.AcceptOlder {
		if !slices.ContainsFunc(d.req.Repositories, func(r Repository) bool { return r.Name == name }) {
			return fmt.Errorf("%w: no repository is called %q", ErrAccept, name)
		}
	}
	return nil
}

// checkAccepted wants every accepted key in the key files.
func (d *downloader) checkAccepted(all *keyring.Keyring) error {
	for _, f := range d.accepted {
		if !slices.ContainsFunc(all.Keys(), func(k keyring.Key) bool { return k.Fingerprint == f && k.Refused == "" }) {
			return fmt.Errorf("%w: no repository's key files hold a key %s that can sign", ErrAccept, f)
		}
	}
	return nil
}

// keptPins are the pins of this run, and those of repositories that the request
// has no more as long as the lock has builds of them, sorted by name.
func (d *downloader) keptPins(lock *Lock) []Pin {
	pins := slices.Clone(d.pins)
	if d.lock != nil {
		for _, p := range d.lock.Repositories {
			asked := slices.ContainsFunc(pins, func(q Pin) bool { return q.Name == p.Name })
			needed := slices.ContainsFunc(lock.Builds, func(l Locked) bool { return l.Repository == p.Name })
			if !asked && needed {
				pins = append(pins, p)
			}
		}
	}
	slices.SortStableFunc(pins, func(a, b Pin) int { return strings.Compare(a.Name, b.Name) })
	return pins
}

// check refuses a pin that this program would not have written.
func (p Pin) check() error {
	for _, f := range slices.Concat(p.Keys, p.Signers, []string{p.SignedBy}) {
		if g, err := parseFingerprint(f); f != "" && (err != nil || f != g) {
			return fmt.Errorf("repository %s: %q is no fingerprint", p.Name, f)
		}
	}
	return nil
}
