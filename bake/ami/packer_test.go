package ami

import (
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/packerexec"
)

func TestPackerIsToldWhatIsSet(t *testing.T) {
	p := Packer{Variables: map[string]string{"version": "v1", "subnet_id": ""}}
	if diff := cmp.Diff(map[string]string{"version": "v1"}, p.set()); diff != "" {
		t.Errorf("variables (-want +got):\n%s", diff)
	}
	if len(p.Variables) != 2 {
		t.Error("the caller's own are changed")
	}
}

func TestWhatPackerSays(t *testing.T) {
	var got []string
	p := Packer{Note: func(text string) { got = append(got, text) }}
	for _, e := range []packerexec.Event{
		{Type: "ui", Data: []string{"say", "==> amazon-ebs.release: Waiting for SSH\n\n==> amazon-ebs.release: \n"}},
		{Type: "ui", Data: []string{"message", "    amazon-ebs.release: it: works"}},
		{Type: "ui", Data: []string{"error", "no colon"}},
		{Type: "artifact", Data: []string{"0", "id", "eu-central-1:ami-1"}},
	} {
		p.note(e)
	}
	want := []string{"packer: Waiting for SSH", "packer: amazon-ebs.release:", "packer: it: works", "packer: no colon"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("said (-want +got):\n%s", diff)
	}
	Packer{}.note(packerexec.Event{Type: "ui", Data: []string{"say", "to nobody"}})
}
