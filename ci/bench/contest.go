package main

import (
	"context"
	"slices"

	"github.com/wpbake/wpbake/ci/intercept"
)

// work is one thing that wpbake does, and others too.
type work struct {
	name   string
	goal   float64 // ratio of times to the fastest peer's, or of bytes; 0 is none
	memory int64   // bytes that ours may take; 0 is any
	ours   command
	peers  []peer
	ready  func(ctx context.Context, round int) error // before ours; not timed; may be nil
	sizes  func() (ours, peer int64, err error)       // of what was made; may be nil

	calls *intercept.Proxy // counts those to the cloud; nil counts none
	// share makes it a work of bytes: it reads what ours printed. Nothing is
	// compared with peers then.
	share func(printed []byte) (float64, error)
}

// command is the command line of a round.
type command func(round int) []string

type peer struct {
	name string
	command
}

// result is what came of a work. Times are seconds.
type result struct {
	Corpus     string               `json:"corpus"`
	Work       string               `json:"work"`
	Peer       string               `json:"peer,omitempty"` // the fastest
	Ours       []float64            `json:"ours_seconds"`
	Peers      map[string][]float64 `json:"peer_seconds,omitempty"`
	Ratio      float64              `json:"ratio"` // the median of the rounds' ratios
	Goal       float64              `json:"goal,omitempty"`
	Size       float64              `json:"size_ratio,omitempty"`
	Memory     int64                `json:"memory_bytes"` // the largest that ours was in memory
	MemoryGoal int64                `json:"memory_goal_bytes,omitempty"`
	Calls      map[string][]int     `json:"calls,omitempty"` // to the cloud, by program; ours is wpbake
}

// contest runs all in turn, once unmeasured and then so many rounds: what
// slows the machine down for a while slows all of them.
func (w work) contest(ctx context.Context, e env, rounds int) (result, error) {
	r := result{Work: w.name, Goal: w.goal, MemoryGoal: w.memory, Peers: map[string][]float64{}, Calls: map[string][]int{}}
	if w.calls != nil {
		e = append(slices.Clone(e), "AWS_ENDPOINT_URL="+w.calls.URL())
	}
	var shares []float64
	for round := range rounds + 1 {
		if w.ready != nil {
			if err := w.ready(ctx, round); err != nil {
				return r, err
			}
		}
		w.forget()
		ours, err := e.spend(ctx, w.ours(round))
		if err != nil {
			return r, err
		}
		if round > 0 {
			r.Ours = append(r.Ours, ours.Seconds)
			r.Memory = max(r.Memory, ours.Memory)
			r.count("wpbake", w.calls)
		}
		if w.share != nil && round > 0 {
			share, err := w.share(ours.printed)
			if err != nil {
				return r, err
			}
			shares = append(shares, share)
		}
		for _, p := range w.peers {
			w.forget()
			spent, err := e.spend(ctx, p.command(round))
			if err != nil {
				return r, err
			}
			if round > 0 {
				r.Peers[p.name] = append(r.Peers[p.name], spent.Seconds)
				r.count(p.name, w.calls)
			}
		}
	}
	r.judge(shares)
	if w.sizes != nil {
		ours, peer, err := w.sizes()
		if err != nil {
			return r, err
		}
		r.Size = float64(ours) / float64(peer)
	}
	return r, nil
}

// count keeps what a program has called.
func (r *result) count(program string, calls *intercept.Proxy) {
	if calls != nil {
		r.Calls[program] = append(r.Calls[program], len(calls.Calls()))
	}
}

// forget begins to count anew.
func (w work) forget() {
	if w.calls != nil {
		w.calls.Forget()
	}
}

// judge compares with the peer that is fastest in the median.
func (r *result) judge(shares []float64) {
	if len(shares) > 0 {
		r.Ratio = median(shares)
		return
	}
	if len(r.Peers) == 0 {
		return
	}
	for name, times := range r.Peers {
		if r.Peer == "" || median(times) < median(r.Peers[r.Peer]) {
			r.Peer = name
		}
	}
	var ratios []float64
	for i, ours := range r.Ours {
		ratios = append(ratios, ours/r.Peers[r.Peer][i])
	}
	r.Ratio = median(ratios)
}

func median(v []float64) float64 {
	s := slices.Sorted(slices.Values(v))
	return (s[(len(s)-1)/2] + s[len(s)/2]) / 2
}
