package packerexec

import (
	"maps"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"
)

func TestParseEvent(t *testing.T) {
	for line, want := range map[string]Event{
		`1795667144,,ui,say,Packer v1.15.0`:             {Time: time.Unix(1795667144, 0).UTC(), Type: "ui", Data: []string{"say", "Packer v1.15.0"}},
		`1,amazon-ebs.release,artifact-count,1`:         {Time: time.Unix(1, 0).UTC(), Target: "amazon-ebs.release", Type: "artifact-count", Data: []string{"1"}},
		`1,,ui,error,one%!(PACKER_COMMA) two\nthree\r4`: {Time: time.Unix(1, 0).UTC(), Type: "ui", Data: []string{"error", "one, two\nthree\r4"}},
		`1,b,artifact,0,end`:                            {Time: time.Unix(1, 0).UTC(), Target: "b", Type: "artifact", Data: []string{"0", "end"}},
		`1,,version-prelease,`:                          {Time: time.Unix(1, 0).UTC(), Type: "version-prelease", Data: []string{""}},
		"1,,x\r":                                        {Time: time.Unix(1, 0).UTC(), Type: "x"},
	} {
		if got, err := ParseEvent(line); err != nil || !reflect.DeepEqual(got, want) {
			t.Errorf("%q is %+v, %v; want %+v", line, got, err, want)
		}
	}
	for _, line := range []string{"", "panic: oh", "1,,", "x,,ui,say,y", "1,ui"} {
		if e, err := ParseEvent(line); err == nil {
			t.Errorf("%q is an event: %+v", line, e)
		}
	}
}

func TestArtifacts(t *testing.T) {
	var a artifacts
	for _, line := range []string{
		"1,amazon-ebs.release,artifact-count,1",
		"1,amazon-ebs.release,artifact,0,builder-id,mitchellh.amazonebs",
		"1,amazon-ebs.release,artifact,0,id,eu-central-1:ami-1%!(PACKER_COMMA)us-east-1:ami-2",
		"1,amazon-ebs.release,artifact,0,files-count,0",
		"1,amazon-ebs.release,artifact,0,end",
		"1,other,artifact,0,files-count,0",
	} {
		e, err := ParseEvent(line)
		if err != nil {
			t.Fatal(err)
		}
		a.add(e)
	}
	made := a.all()
	if len(made) != 1 || made[0].Builder != "mitchellh.amazonebs" {
		t.Fatalf("made %+v", made)
	}
	if got, want := made[0].Images(), map[string]string{"eu-central-1": "ami-1", "us-east-1": "ami-2"}; !maps.Equal(got, want) {
		t.Errorf("images %v, want %v", got, want)
	}
	if got := (Artifact{ID: "some-file"}).Images(); len(got) > 0 {
		t.Errorf("a file is the images %v", got)
	}
}

const someKey = "-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\nq83vEjRWeJA=\n-----END RSA PRIVATE KEY-----"

func TestSecretsAreWithheld(t *testing.T) {
	for name, c := range map[string]struct{ texts, want []string }{
		"a key in one text":        {[]string{"before " + someKey + "\nafter"}, []string{"before (withheld)\nafter"}},
		"a key, a line a text":     {append(strings.Split(someKey, "\n"), "after"), []string{"(withheld)", "", "", "", "after"}},
		"a key without line ends":  {[]string{strings.ReplaceAll(someKey, "\n", " "), "after"}, []string{"(withheld)", "after"}},
		"an elliptic key":          {[]string{"-----BEGIN PRIVATE KEY-----\nMC4CAQAw\n-----END PRIVATE KEY-----"}, []string{"(withheld)\n"}},
		"a certificate":            {[]string{"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"}, []string{"-----BEGIN CERTIFICATE-----\nMIIB\n-----END CERTIFICATE-----"}},
		"a credential":             {[]string{"AWS_SECRET_ACCESS_KEY=wJalrXUtnFEMI/K7 of root"}, []string{"AWS_SECRET_ACCESS_KEY=(withheld) of root"}},
		"what is too short for it": {[]string{"a test"}, []string{"a test"}},
	} {
		s := newSecrets([]string{"wJalrXUtnFEMI/K7", "test"})
		var got []string
		for _, text := range c.texts {
			got = append(got, s.clean(text))
		}
		if !slices.Equal(got, c.want) {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

// FuzzEvents reads foreign lines: no panic, nothing of a key, and what Packer
// would write of an event is that event again.
func FuzzEvents(f *testing.F) {
	f.Add("1795667144,,ui,say,Packer v1.15.0")
	f.Add("1,amazon-ebs.release,artifact,0,id,eu-central-1:ami-1%!(PACKER_COMMA)us-east-1:ami-2")
	f.Add("1,,ui,error,one\\ntwo")
	f.Add("1,,ui,say,-----BEGIN RSA PRIVATE KEY-----\\nMIIE\\n-----END RSA PRIVATE KEY-----")
	f.Add("-1,a,b,,,")
	f.Fuzz(func(t *testing.T, line string) {
		e, err := ParseEvent(line)
		if err != nil {
			return
		}
		var again strings.Builder
		escape := strings.NewReplacer(",", "%!(PACKER_COMMA)", "\r", `\r`, "\n", `\n`)
		again.WriteString(strings.Join([]string{"1", e.Target, e.Type}, ","))
		for _, d := range e.Data {
			again.WriteString("," + escape.Replace(d))
		}
		other, err := ParseEvent(again.String())
		if err != nil || other.Target != e.Target || other.Type != e.Type || !slices.Equal(other.Data, e.Data) {
			t.Errorf("%q is %+v, then %+v, %v", line, e, other, err)
		}
		s := newSecrets(nil)
		secret := s.clean(strings.Join(e.Data, "\n") + "\n-----BEGIN RSA PRIVATE KEY-----\nMIIEpAIBAAKCAQEA\n")
		if strings.Contains(secret, "MIIEpAIBAAKCAQEA") {
			t.Errorf("%q lets a key through", line)
		}
	})
}
