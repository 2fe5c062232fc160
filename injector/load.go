package injector

import "slices"

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
	sc, err := newScopeIn(j.p, namespaces[i], layout.file.Needed())
	if err != nil {
		return nil, err
	}
	return newImage(j.p, m.c, m.lib, sc)
}
