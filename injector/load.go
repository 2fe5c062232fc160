package injector

import "slices"

// loadImages binds each container as dlopen would, in the namespace of its
// target library, and lays it out.
func (j *job) loadImages(load []match) ([]*image, error) {
	order, err := j.p.linkOrder(j.objs)
	if err != nil {
		return nil, err
	}
	var images []*image
	for _, m := range load {
		if !slices.Contains(order, m.lib) {
			return nil, blockedf("%s is loaded in a namespace of its own (dlmopen)", m.lib.called())
		}
		layout, err := j.p.files.layout(m.c)
		if err != nil {
			return nil, err
		}
		sc, err := newScope(j.p, order, layout.file.Needed())
		if err != nil {
			return nil, err
		}
		im, err := newImage(j.p, m.c, m.lib, sc)
		if err != nil {
			return nil, err
		}
		images = append(images, im)
	}
	return images, nil
}
