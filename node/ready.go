package node

import "context"

// Ready tells the launch hook of a, whose Instance it asks m for, that this
// instance may go into service although its template pins no release: such as
// one that the group launches between its adoption and its first release. A
// hook that waits for nothing is no error: a group that was not adopted yet has
// none.
//
// The caller makes sure that user data holds no boot part: a node that boots
// a release speaks to the hook itself, once its content is proven.
func Ready(ctx context.Context, m Metadata, l Lifecycle, a Action) (told bool, err error) {
	id, err := askInstance(ctx, m)
	if err != nil {
		return false, err
	}
	a.Instance = id
	return complete(ctx, l, Completion{Action: a, Result: Continue}, actionTimeout)
}
