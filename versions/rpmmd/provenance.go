package rpmmd

import (
	"strconv"
	"strings"
	"time"

	"github.com/lpbuild/lpbuild/versions/keyring"
)

const maxRevision = 64 // bytes

// Provenance is what vouched for the packages that a repository lists.
type Provenance struct {
	// Signer signed repomd.xml; zero if it is not signed (Source.Unsigned). How
	// old the metadata is can be compared all the same.
	Signer keyring.Signer
	// Revision is that of repomd.xml, mostly a number that grows; "" if there is
	// none or it is absurdly long.
	Revision string
	// Time is when the newest metadata file was made, in UTC; zero if unknown.
	Time time.Time
	// Primary is the digest of primary.xml in repomd.xml.
	Primary Checksum
}

// Provenance says what vouched for what the last call of Packages returned.
// It is false for a folder of packages without metadata, and before that call.
func (r *Repository) Provenance() (Provenance, bool) {
	p := r.provenance.Load()
	if p == nil {
		return Provenance{}, false
	}
	return *p, true
}

// provenanceOf makes the provenance of verified metadata.
func provenanceOf(md *Repomd, signer keyring.Signer) *Provenance {
	p := &Provenance{Signer: signer}
	if r := strings.TrimSpace(md.Revision); len(r) <= maxRevision {
		p.Revision = r
	}
	for _, d := range md.Data {
		if d.Timestamp.After(p.Time) {
			p.Time = d.Timestamp
		}
		if d.Type == "primary" && p.Primary == (Checksum{}) {
			p.Primary = d.Checksum
		}
	}
	return p
}

// parseTimestamp reads seconds since 1970, which some programs give a fraction.
// What is no such number is no time: nobody needs it to read the repository.
func parseTimestamp(s string) time.Time {
	whole, _, _ := strings.Cut(strings.TrimSpace(s), ".")
	sec, err := strconv.ParseInt(whole, 10, 64)
	if err != nil || sec <= 0 || sec > 1<<36 {
		return time.Time{}
	}
	return time.Unix(sec, 0).UTC()
}
