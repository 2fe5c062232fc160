package rpmmd

import (
	"cmp"
	"context"
	"encoding/base64"
	"errors"
	"fmt"
	"log/slog"
	"net/url"
	"slices"
	"strings"
	"sync"
)

// minSecret is the shortest text that is looked for, in bytes: a shorter one
// would be found everywhere, and hides nothing.
const minSecret = 4

// secrets are texts that no message may contain. Nothing puts them into one;
// this is for what a server or a library echoes. The zero value hides nothing.
type secrets struct {
	mu       sync.RWMutex
	texts    []string
	replacer *strings.Replacer
}

// add hides each text, also as it looks in a URL.
func (s *secrets) add(texts ...string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, text := range texts {
		for _, form := range []string{text, url.QueryEscape(text), url.PathEscape(text)} {
			if len(form) >= minSecret && !slices.Contains(s.texts, form) {
				s.texts = append(s.texts, form)
			}
		}
	}
	// The longest first: one may be part of another.
	slices.SortFunc(s.texts, func(a, b string) int { return cmp.Or(cmp.Compare(len(b), len(a)), cmp.Compare(a, b)) })
	var pairs []string
	for _, text := range s.texts {
		pairs = append(pairs, text, "xxxxx")
	}
	s.replacer = strings.NewReplacer(pairs...)
}

// addBasic hides a password, also as HTTP's Basic scheme sends it.
func (s *secrets) addBasic(user, password string) {
	s.add(password, base64.StdEncoding.EncodeToString([]byte(user+":"+password)))
}

// addUserinfo hides the password of a URL, even of one that cannot be parsed.
func (s *secrets) addUserinfo(rawURL string) {
	if u, err := url.Parse(rawURL); err == nil && u.User != nil {
		password, _ := u.User.Password()
		s.addBasic(u.User.Username(), password)
	}
	_, rest, _ := strings.Cut(rawURL, "://")
	if rest == "" {
		rest = rawURL
	}
	if at := strings.LastIndex(rest, "@"); at >= 0 {
		s.add(rest[:at])
		if _, password, ok := strings.Cut(rest[:at], ":"); ok {
			s.add(password)
		}
	}
}

func (s *secrets) hide(text string) string {
	s.mu.RLock()
	defer s.mu.RUnlock()
	if s.replacer == nil {
		return text
	}
	return s.replacer.Replace(text)
}

// hideError returns err, or one that reads without the secrets and is what err
// is. It has no control characters either: a server can make up a good part of
// an error, and it is read on a terminal.
func (s *secrets) hideError(err error) error {
	if err == nil {
		return nil
	}
	text := err.Error()
	shown := strings.Map(func(r rune) rune {
		if r < ' ' && r != '\n' || r == 0x7f {
			return '?'
		}
		return r
	}, s.hide(text))
	if shown != text {
		return &hiddenError{shown, err}
	}
	return err
}

type hiddenError struct {
	text string
	err  error
}

func (e *hiddenError) Error() string { return e.text }

// Is looks at the error behind, which itself is out of reach: nobody
// prints what is unwrapped.
func (e *hiddenError) Is(target error) bool { return errors.Is(e.err, target) }

// logHandler hides secrets in what is logged.
type logHandler struct {
	slog.Handler
	secrets *secrets
}

func (h logHandler) Handle(ctx context.Context, r slog.Record) error {
	clean := slog.NewRecord(r.Time, r.Level, h.secrets.hide(r.Message), r.PC)
	r.Attrs(func(a slog.Attr) bool {
		clean.AddAttrs(h.attr(a))
		return true
	})
	return h.Handler.Handle(ctx, clean)
}

func (h logHandler) WithAttrs(attrs []slog.Attr) slog.Handler {
	clean := make([]slog.Attr, len(attrs))
	for i, a := range attrs {
		clean[i] = h.attr(a)
	}
	return logHandler{h.Handler.WithAttrs(clean), h.secrets}
}

func (h logHandler) WithGroup(name string) slog.Handler {
	return logHandler{h.Handler.WithGroup(name), h.secrets}
}

func (h logHandler) attr(a slog.Attr) slog.Attr {
	v := a.Value.Resolve()
	switch v.Kind() {
	case slog.KindString:
		return slog.String(a.Key, h.secrets.hide(v.String()))
	case slog.KindGroup:
		var clean []slog.Attr
		for _, member := range v.Group() {
			clean = append(clean, h.attr(member))
		}
		return slog.Attr{Key: a.Key, Value: slog.GroupValue(clean...)}
	case slog.KindAny:
		return slog.String(a.Key, h.secrets.hide(fmt.Sprint(v.Any())))
	}
	return slog.Attr{Key: a.Key, Value: v}
}
