package packerexec

import (
	"fmt"
	"strconv"
	"strings"
	"time"
)

// Event is a line of Packer's machine-readable output.
type Event struct {
	Time   time.Time
	Target string // the build that it is about, "" for none
	Type   string // such as "ui", "artifact", "error"
	Data   []string
}

// ParseEvent reads one line without its end. What plugins send with commas and
// line ends in it is given as it was.
func ParseEvent(line string) (Event, error) {
	fields := strings.Split(strings.TrimRight(line, "\r"), ",")
	if len(fields) < 3 || fields[2] == "" {
		return Event{}, fmt.Errorf("reading packer's output: %q is no event", cut(line))
	}
	seconds, err := strconv.ParseInt(fields[0], 10, 64)
	if err != nil {
		return Event{}, fmt.Errorf("reading packer's output: %q begins with no time", cut(line))
	}
	e := Event{Time: time.Unix(seconds, 0).UTC(), Target: fields[1], Type: fields[2]}
	for _, field := range fields[3:] {
		e.Data = append(e.Data, unescape.Replace(field))
	}
	return e, nil
}

// unescape undoes what Packer does to data. A backslash and an n that were
// there before cannot be told from a line end.
var unescape = strings.NewReplacer("%!(PACKER_COMMA)", ",", `\n`, "\n", `\r`, "\r")

// Said is the text of an event that is for people, and whether it is an error.
func (e Event) Said() (text string, isError, ok bool) {
	if e.Type != "ui" || len(e.Data) < 2 {
		return "", false, false
	}
	switch e.Data[0] {
	case "say", "message":
		return e.Data[1], false, true
	case "error":
		return e.Data[1], true, true
	}
	return "", false, false
}

// Artifact is something that a build made.
type Artifact struct {
	Build   string
	Builder string // such as "mitchellh.amazonebs"
	ID      string // as the builder has it: "eu-central-1:ami-1,us-east-1:ami-2"
}

// Images are the artifact's images by region, none when it is none of Amazon's.
func (a Artifact) Images() map[string]string {
	images := map[string]string{}
	for one := range strings.SplitSeq(a.ID, ",") {
		if region, id, ok := strings.Cut(one, ":"); ok && region != "" && strings.HasPrefix(id, "ami-") {
			images[region] = id
		}
	}
	return images
}

// artifacts collects what builds made. Packer tells each of them in several
// events.
type artifacts struct{ made map[string]*Artifact }

func (a *artifacts) add(e Event) {
	if e.Type != "artifact" || len(e.Data) < 3 {
		return
	}
	if a.made == nil {
		a.made = map[string]*Artifact{}
	}
	key := e.Target + "," + e.Data[0]
	one := a.made[key]
	if one == nil {
		one = &Artifact{Build: e.Target}
		a.made[key] = one
	}
	switch e.Data[1] {
	case "builder-id":
		one.Builder = e.Data[2]
	case "id":
		one.ID = e.Data[2]
	}
}

const maxText = 400 // of a text in an error

// cut makes text one line of bearable length.
func cut(text string) string {
	text = strings.Join(strings.Fields(text), " ")
	if len(text) > maxText {
		text = strings.ToValidUTF8(text[:maxText], "") + " …"
	}
	return text
}
