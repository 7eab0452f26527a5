package rollout

import "context"

// Release is what wpbake release does for a version that is published: one plan,
// executed.
func (e *Engine) Release(ctx context.Context, in Intent) (Result, error) {
	in.Kind = Release
	p, err := e.Plan(ctx, in)
	if err != nil {
		return Result{}, err
	}
	return e.Execute(ctx, p)
}
