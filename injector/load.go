package injector

import (
	"debug/elf"
	"slices"
)

// loadImages binds each container as dlopen would, in the namespace of its
// target library, and lays it out.
func (j *job) loadImages(load []match) ([]*image, error) {
	order, err := j.p.linkOrder(j.objs)
	if err != nil {
		return nil, err
	}
	namespaces := []*linkList{{order: order}}
	if j.p.links != nil {
		namespaces[0] = j.p.links
	}
	if slices.ContainsFunc(load, func(m match) bool { return !slices.Contains(order, m.lib) }) {
		others, err := j.p.otherNamespaces(j.objs)
		if err != nil {
			return nil, err
		}
		namespaces = append(namespaces, others...)
	}
	var images []*image
	for _, m := range load {
		im, err := j.loadImage(m, namespaces)
		if err != nil {
			return nil, err
		}
		images = append(images, im)
	}
	return images, nil
}

// loadImage does it for one container.
func (j *job) loadImage(m match, namespaces []*linkList) (*image, error) {
	i := slices.IndexFunc(namespaces, func(l *linkList) bool { return slices.Contains(l.order, m.lib) })
	if i < 0 {
		return nil, blockedf("%s at %#x is in none of the dynamic linker's lists, so that it is not known what its names mean",
			m.lib.called(), m.lib.bias)
	}
	layout, err := j.p.files.layout(m.c)
	if err != nil {
		return nil, err
	}
	sc, err := newScope(j.p, namespaces[i], layout.file.Needed())
	if err != nil {
		return nil, err
	}
	im, err := newImage(j.p, m.c, m.lib, sc)
	if err != nil {
		return nil, err
	}
	return im, im.outlived(namespaces[i], m.lib)
}

// outlived refuses an image that refers to an object which can be closed
// (dlclose) while the target library stays: unlike dlopen, nothing counts the
// reference.
func (im *image) outlived(l *linkList, lib *object) error {
	stays, err := closure(l.order, []*object{lib}, nil)
	if err != nil {
		return err
	}
	in := func(o *object) bool { return slices.Contains(stays, o) }
	if !slices.ContainsFunc(im.owners, func(o *object) bool { return !in(o) }) {
		return nil
	}
	stays = append(stays, startupScope(l.order)...)
	for _, o := range im.owners {
		flags, _ := o.file.DynamicValue(elf.DT_FLAGS_1)
		if elf.DynFlag1(flags)&elf.DF_1_NODELETE == 0 && !in(o) {
			return blockedf("the live patch needs %s, which %s does not: it could be closed under the live patch's feet",
				o.called(), lib.called())
		}
	}
	return nil
}
