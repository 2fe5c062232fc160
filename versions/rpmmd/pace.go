package rpmmd

import (
	"context"
	"sync"
	"time"
)

// A pace spaces units out in time: bytes that arrive, requests that leave. nil
// is no limit. It is safe for concurrent use.
type pace struct {
	perSecond float64
	mu        sync.Mutex
	next      time.Time // when the next unit is due
}

func newPace(perSecond float64) *pace {
	if perSecond <= 0 {
		return nil
	}
	return &pace{perSecond: perSecond}
}

// wait returns when n units more may pass, or with ctx.
func (p *pace) wait(ctx context.Context, n int) error {
	if p == nil {
		return nil
	}
	p.mu.Lock()
	now := time.Now()
	if p.next.Before(now) {
		p.next = now
	}
	p.next = p.next.Add(time.Duration(float64(n) / p.perSecond * float64(time.Second)))
	delay := p.next.Sub(now)
	p.mu.Unlock()
	return sleep(ctx, delay)
}

// sleep returns after d, or with the cause of the end of ctx.
func sleep(ctx context.Context, d time.Duration) error {
	if d <= 0 {
		return nil
	}
	timer := time.NewTimer(d)
	defer timer.Stop()
	select {
	case <-timer.C:
		return nil
	case <-ctx.Done():
		return context.Cause(ctx)
	}
}
