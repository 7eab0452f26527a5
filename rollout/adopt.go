package rollout

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Change is one thing that adopting a group does to it.
type Change struct {
	Text string `json:"text"`

	templates []TemplateRef // pin these
	hook      *Hook         // put this one
}

// bootHeartbeat is how long a node may be silent during its boot before the
// hook abandons it. The node renews it while a stage runs.
const bootHeartbeat = 5 * time.Minute

// PlanAdopt lists what Adopt would do: template versions pinned by number,
// and the lifecycle hook that a boot completes. Nothing to do is an empty
// list. A group that no release could ever follow on is *Refused: the hook
// would abandon each of its launches.
func (e *Engine) PlanAdopt(ctx context.Context) ([]Change, error) {
	g, err := e.o.Cloud.Groups.Group(ctx, e.o.Group)
	if err != nil {
		return nil, err
	}
	if err := refuse(g.Name, slices.DeleteFunc(templateFindings(g), func(f Finding) bool { return f.ID == "template/floating" })); err != nil {
		return nil, err
	}
	var changes []Change
	pinned, floating, err := e.pin(ctx, g)
	if err != nil {
		return nil, err
	}
	if len(floating) > 0 {
		changes = append(changes, Change{Text: "pin " + strings.Join(floating, ", "), templates: pinned})
	}
	if len(hookFindings(g)) > 0 {
		h := Hook{Name: HookName, Launching: true, DefaultResult: "ABANDON", Heartbeat: bootHeartbeat}
		changes = append(changes, Change{Text: fmt.Sprintf("lifecycle hook %q on launch, default result ABANDON, heartbeat %s", h.Name, h.Heartbeat), hook: &h})
	}
	return changes, nil
}

func (e *Engine) pin(ctx context.Context, g Group) (pinned []TemplateRef, floating []string, err error) {
	for _, t := range g.Templates {
		v, err := e.o.Cloud.Templates.Version(ctx, t)
		if err != nil {
			return nil, nil, err
		}
		if strings.HasPrefix(t.Version, "$") {
			floating = append(floating, fmt.Sprintf("launch template %s: %s is version %s", t.ID, t.Version, v.Version))
		}
		pinned = append(pinned, v.TemplateRef)
	}
	return pinned, floating, nil
}

// Adopt performs the changes of PlanAdopt.
func (e *Engine) Adopt(ctx context.Context, changes []Change) error {
	for _, c := range changes {
		var err error
		if c.hook != nil {
			err = e.o.Cloud.Groups.PutHook(ctx, e.o.Group, *c.hook)
		} else {
			err = e.o.Cloud.Groups.Pin(ctx, e.o.Group, c.templates)
		}
		if err != nil {
			return fmt.Errorf("adopting group %q: %w", e.o.Group, err)
		}
	}
	return nil
}
