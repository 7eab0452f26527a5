package node

import (
	"context"
	"fmt"
	"time"

	"github.com/wpbake/wpbake/node/wait"
)

const (
	// identityTimeout is how long the metadata service may be silent after the
	// network came up.
	identityTimeout = time.Minute
	identityAttempt = 10 * time.Second
	identityPause   = time.Second
)

// identity is the stage in which a node finds out who it is.
type identity struct {
	metadata Metadata
	journal  *journal
}

// find asks until the metadata service answers.
func (i identity) find(ctx context.Context) (err error) {
	ctx, cancel := context.WithTimeout(ctx, identityTimeout)
	defer cancel()
	for range wait.Every(ctx, identityPause) {
		if i.journal.report.Instance, err = i.ask(ctx); err == nil {
			return nil
		}
	}
	return fmt.Errorf("asking the metadata service: %w", err)
}

func (i identity) ask(ctx context.Context) (instance string, err error) {
	ctx, cancel := context.WithTimeout(ctx, identityAttempt)
	defer cancel()
	return askInstance(ctx, i.metadata)
}

// askInstance asks for the id of this node. An answer that is no instance id,
// as a proxy's page is none, is an error: the id goes on into the name of the
// report and into requests.
func askInstance(ctx context.Context, m Metadata) (string, error) {
	id, err := m.Instance(ctx)
	if err != nil {
		return "", err
	}
	if !IsInstance(id.Instance) {
		return "", fmt.Errorf("%.40q is no instance id", id.Instance)
	}
	return id.Instance, nil
}
