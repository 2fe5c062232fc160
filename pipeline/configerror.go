package pipeline

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"

	"go.yaml.in/yaml/v3"
)

// checker collects mistakes and knows in which line each value stands.
type checker struct {
	file string
	doc  *yaml.Node
	errs []error
}

// add notes a mistake in the value at that place: keys and indexes from the top.
func (k *checker) add(text string, place ...any) {
	k.errs = append(k.errs, &ConfigError{File: k.file, Line: k.line(place), Text: text})
}

func (k *checker) match(shape *regexp.Regexp, value string, place ...any) {
	switch {
	case value == "":
		k.add(fmt.Sprintf("%v is missing", place[0]), place...)
	case !shape.MatchString(value):
		k.add(fmt.Sprintf("%v: %q is not allowed there", place[0], value), place...)
	}
}

// line is the line of the value at that place, 0 if there is no such value.
func (k *checker) line(place []any) int {
	if len(k.doc.Content) == 0 {
		return 0
	}
	n := k.doc.Content[0]
	for _, step := range place {
		n = child(n, step)
		if n == nil {
			return 0
		}
	}
	return n.Line
}

func child(n *yaml.Node, step any) *yaml.Node {
	switch step := step.(type) {
	case int:
		if n.Kind == yaml.SequenceNode && step < len(n.Content) {
			return n.Content[step]
		}
	case string:
		for i := 0; n.Kind == yaml.MappingNode && i+1 < len(n.Content); i += 2 {
			if n.Content[i].Value == step {
				return n.Content[i+1]
			}
		}
	}
	return nil
}

// The YAML library gives its errors as text only.
var (
	yamlLine  = regexp.MustCompile(`^(?:yaml: )?line (\d+): (.*)$`)
	yamlField = regexp.MustCompile(`^field (\S+) not found in type \S+$`)
	yamlType  = regexp.MustCompile("^cannot unmarshal \\S+ (`.*` )?into (.*)$")
)

// configErrors puts an error of the YAML library into words for whoever wrote the file.
func configErrors(file string, err error) error {
	var own *ConfigError
	if errors.As(err, &own) {
		own.File = file
		return own
	}
	var types *yaml.TypeError
	if !errors.As(err, &types) {
		return configError(file, err.Error())
	}
	errs := make([]error, len(types.Errors))
	for i, text := range types.Errors {
		errs[i] = configError(file, text)
	}
	return errors.Join(errs...)
}

func configError(file, text string) error {
	e := &ConfigError{File: file, Text: text}
	if m := yamlLine.FindStringSubmatch(text); m != nil {
		// Out of range cannot be: the library counted it.
		e.Line, _ = strconv.Atoi(m[1])
		e.Text = m[2]
	}
	if m := yamlField.FindStringSubmatch(e.Text); m != nil {
		e.Text = fmt.Sprintf("unknown key %q", m[1])
	} else if m := yamlType.FindStringSubmatch(e.Text); m != nil {
		e.Text = fmt.Sprintf("%sis not a value of this key (%s is)", m[1], kindOf(m[2]))
	}
	return e
}

// kindOf names a Go type in YAML's words.
func kindOf(goType string) string {
	switch {
	case goType == "string":
		return "a text"
	case len(goType) > 2 && goType[:2] == "[]":
		return "a list"
	}
	return "a mapping"
}
