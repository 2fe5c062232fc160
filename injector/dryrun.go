package injector

// reach carries a goal out, or only finds out whether it could be.
func (j *job) reach(g *goal) error {
	if !j.in.opts.DryRun {
		return j.carryOut(g)
	}
	if err := j.rehearse(g); err != nil {
		return err
	}
	j.result.Word, j.result.Reason = g.word, ""
	return nil
}

// rehearse does of a goal what can be done with nothing stopped.
func (j *job) rehearse(g *goal) error {
	pr, err := j.prepare(g)
	if err != nil {
		return err
	}
	if err := j.mayTrace(); err != nil {
		return err
	}
	if len(pr.load) == 0 {
		return nil
	}
	size := layOut(j.led == nil, len(pr.entries), j.recordRoom(pr), pr.images).size
	_, err = j.arrange(pr, size)
	return err
}
