package intercept

import "context"

type callKey struct{}

// withCall also takes the call out of its client's hands: one that is killed
// does not undo what has reached the cloud.
func withCall(ctx context.Context, c Call) context.Context {
	return context.WithValue(context.WithoutCancel(ctx), callKey{}, c)
}

func callIn(ctx context.Context) Call {
	c, _ := ctx.Value(callKey{}).(Call)
	return c
}
