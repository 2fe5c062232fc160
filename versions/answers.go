package versions

import (
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"io"
	"os"
	"path/filepath"
	"strings"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// maxAnswerNote bounds a note about an answer, in bytes.
const maxAnswerNote = 16 << 10

// answers is the folder of what debuginfod servers gave: SHA256.debug, and a
// note BUILDID.json for each build-id that leads there.
func (s *Store) answers() string { return filepath.Join(s.dir, "debuginfod") }

type answerNote struct {
	SHA256   string `json:"sha256"`
	Location string `json:"location"`
}

// answer returns an answer that the store has, if it is as it was when it came
// and accept accepts it; else nil.
func (s *Store) answer(id elfinfo.BuildID, accept func(*elfinfo.File) error) *answer {
	data, err := readFile(filepath.Join(s.answers(), string(id)+".json"), maxAnswerNote)
	if err != nil {
		return nil
	}
	var note answerNote
	if json.Unmarshal(data, &note) != nil || !isSHA256(note.SHA256) || strings.ContainsAny(note.Location, "\n\x1b") {
		return nil
	}
	f, err := elfinfo.Open(filepath.Join(s.answers(), note.SHA256+".debug"))
	if err != nil {
		return nil
	}
	if sum, err := sumFile(f.Name()); err != nil || sum != note.SHA256 || accept(f) != nil {
		_ = f.Close()
		return nil
	}
	return &answer{location: note.Location, sum: note.SHA256, file: f}
}

// newAnswer opens a file for an answer to come.
func (s *Store) newAnswer() (*os.File, error) {
	if err := os.MkdirAll(s.answers(), 0o755); err != nil {
		return nil, err
	}
	return os.CreateTemp(s.answers(), ".new-")
}

// keepAnswer gives a file of newAnswer its name, and then the build-id's note.
func (s *Store) keepAnswer(tmp *os.File, id elfinfo.BuildID, location string) (*answer, error) {
	sum, err := sumFile(tmp.Name())
	if err != nil {
		return nil, err
	}
	if err := errors.Join(tmp.Chmod(0o644), tmp.Sync()); err != nil {
		return nil, err
	}
	if err := os.Rename(tmp.Name(), filepath.Join(s.answers(), sum+".debug")); err != nil {
		return nil, err
	}
	data, err := json.Marshal(answerNote{SHA256: sum, Location: location})
	if err != nil {
		return nil, err
	}
	return &answer{location: location, sum: sum}, writeFile(filepath.Join(s.answers(), string(id)+".json"), data)
}

// sumFile is the SHA-256 of a file in hexadecimal.
func sumFile(name string) (string, error) {
	f, err := os.Open(name)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}
