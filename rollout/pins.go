package rollout

import (
	"context"
	"errors"
	"slices"
	"strings"

	"github.com/wpbake/wpbake/rollout/userdata"
)

// pins reads what template versions pin. A numbered version never changes.
type pins struct {
	templates Templates
	group     string
	known     map[TemplateRef]*userdata.Boot // nil: known to pin nothing of this group's
	fresh     map[TemplateRef]error          // read in this observation: nil, or that it does not exist
}

// begin forgets what another observation has seen of versions: one can be
// deleted, and EC2 can be late to show what was just made.
func (p *pins) begin() { p.fresh = map[TemplateRef]error{} }

// saved reads the versions that a group has saved, anew in each observation:
// one that was deleted is the base of nothing.
func (p *pins) saved(ctx context.Context, refs []TemplateRef) (map[TemplateRef]TemplateVersion, error) {
	found := map[TemplateRef]TemplateVersion{}
	for _, ref := range refs {
		if _, asked := p.fresh[ref]; asked {
			continue
		}
		v, err := p.read(ctx, ref)
		if errors.Is(err, ErrNoTemplate) {
			continue
		}
		if err != nil {
			return nil, err
		}
		found[ref] = v
	}
	return found, nil
}

func (p *pins) read(ctx context.Context, ref TemplateRef) (TemplateVersion, error) {
	v, err := p.templates.Version(ctx, ref)
	if errors.Is(err, ErrNoTemplate) {
		p.fresh[ref] = err
	}
	if err != nil {
		return v, err
	}
	p.fresh[ref], p.fresh[v.TemplateRef] = nil, nil
	boot, ok := userdata.ParseBoot(v.UserData)
	p.known[v.TemplateRef] = nil
	if ok && boot.Group == p.group {
		p.known[v.TemplateRef] = &boot
	}
	return v, nil
}

// exists is nil for a version that this observation has seen or sees now.
func (p *pins) exists(ctx context.Context, ref TemplateRef) error {
	for seen, err := range p.fresh {
		if seen.same(ref) {
			return err
		}
	}
	_, err := p.read(ctx, ref)
	return err
}

// of reads what the template versions pin that a state has to do with.
func (p *pins) of(ctx context.Context, s State) (map[TemplateRef]userdata.Boot, error) {
	refs := slices.Concat(s.Record.Base, s.Templates, s.Group.Templates)
	for _, n := range s.Group.Nodes {
		refs = append(refs, n.Template)
	}
	pinned := map[TemplateRef]userdata.Boot{}
	for _, ref := range refs {
		if ref.Version == "" || strings.HasPrefix(ref.Version, "$") {
			continue
		}
		boot, err := p.boot(ctx, ref)
		if err != nil {
			return nil, err
		}
		if boot != nil {
			pinned[ref] = *boot
		}
	}
	return pinned, nil
}

// boot is what a version pins, nil for nothing of this group's or when it does
// not exist.
func (p *pins) boot(ctx context.Context, ref TemplateRef) (*userdata.Boot, error) {
	if boot, known := p.lookup(ref); known {
		return boot, nil
	}
	err := p.exists(ctx, ref)
	if errors.Is(err, ErrNoTemplate) {
		return nil, nil
	}
	boot, _ := p.lookup(ref)
	return boot, err
}

func (p *pins) lookup(ref TemplateRef) (boot *userdata.Boot, known bool) {
	if boot, known = p.known[ref]; known {
		return boot, true
	}
	for other, boot := range p.known {
		if other.same(ref) {
			return boot, true
		}
	}
	return nil, false
}
