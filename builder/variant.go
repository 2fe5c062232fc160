package builder

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"

	"golang.org/x/sync/errgroup"

	"github.com/lpbuild/lpbuild/elfinfo"
)

// variant is one live patch compiled in one way: with the macros and headers
// that some of its builds have in common.
type variant struct {
	*part
	defines, headers []string

	// Set by compileAll.
	object *object
	// types is a record of the object: the types of what the description names,
	// and of those that the sources declare; typesErr is why there is none.
	types    *elfinfo.Build
	typesErr error
	err      error
}

// variantOf returns the variant of p that a selection asks for.
func (m *maker) variantOf(p *part, s Selection) *variant {
	for _, v := range m.variants {
		if v.part == p && slices.Equal(v.defines, s.Defines) && slices.Equal(v.headers, s.Headers) {
			return v
		}
	}
	v := &variant{part: p, defines: s.Defines, headers: s.Headers}
	m.variants = append(m.variants, v)
	return v
}

// flags are the compiler's options that only this variant has.
func (v *variant) flags() []string {
	var flags []string
	for _, d := range v.defines {
		flags = append(flags, "-D"+d)
	}
	for _, h := range v.headers {
		flags = append(flags, "-isystem", h, "-ffile-prefix-map="+h+"=/usr/include")
	}
	return flags
}

// String names the variant for a message.
func (v *variant) String() string {
	if len(v.defines) == 0 {
		return v.patch.Name
	}
	return fmt.Sprintf("%s (%s)", v.patch.Name, strings.Join(v.defines, " "))
}

// compileAll compiles every variant. A patch of which no variant can be
// compiled is an error; where some can, only their builds are affected.
func (m *maker) compileAll(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(m.opts.jobs())
	for i, v := range m.variants {
		g.Go(func() error {
			v.err = m.compileVariant(ctx, i, v)
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return nil
		})
	}
	if err := g.Wait(); err != nil {
		return err
	}
	var errs []error
	for _, p := range m.parts {
		errs = append(errs, m.partError(p))
	}
	return errors.Join(errs...)
}

// partError is the first error of a patch's variants, if all have one.
func (m *maker) partError(p *part) error {
	var first error
	for _, v := range m.variants {
		if v.part != p {
			continue
		}
		if v.err == nil {
			return nil
		}
		if first == nil {
			first = v.err
		}
	}
	if first != nil {
		return fmt.Errorf("%s: %w", p.patch.Name, first)
	}
	return first
}

// compileVariant compiles v, the index'th variant, and checks that it defines
// what the description names.
func (m *maker) compileVariant(ctx context.Context, index int, v *variant) error {
	var log string
	var err error
	if v.object, log, err = m.compile(ctx, fmt.Sprint(index), v); err != nil {
		return err
	}
	if log != "" {
		m.opts.log().Warn("compiler warnings", "patch", v.String(), "output", log)
	}
	if err := v.checkReplacements(); err != nil {
		return err
	}
	v.types, v.typesErr = m.readTypes(ctx, v)
	return nil
}
