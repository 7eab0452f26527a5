package aws_test

import (
	"encoding/base64"
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/wpbake/wpbake/internal/aws"
	"github.com/wpbake/wpbake/internal/aws/awstest"
	"github.com/wpbake/wpbake/rollout"
)

// shopData is launch template data as EC2 describes it.
const shopData = `<imageId>resolve:ssm:/shop/ami</imageId><instanceType>t3.small</instanceType>
<iamInstanceProfile><name>shop-node</name></iamInstanceProfile>
<blockDeviceMappingSet><item><deviceName>/dev/xvda</deviceName><ebs><snapshotId>snap-1</snapshotId><volumeSize>20</volumeSize></ebs></item></blockDeviceMappingSet>
<metadataOptions><state>applied</state><httpTokens>required</httpTokens></metadataOptions>
<securityGroupIdSet><item>sg-1</item><item>sg-2</item></securityGroupIdSet>
<tagSpecificationSet><item><resourceType>instance</resourceType><tagSet><item><key>Name</key><value>shop</value></item></tagSet></item></tagSpecificationSet>`

func versionXML(number int, description, data, userData string) string {
	return fmt.Sprintf(`<launchTemplateId>lt-1</launchTemplateId><launchTemplateName>shop</launchTemplateName>
<versionNumber>%d</versionNumber><versionDescription>%s</versionDescription><createTime>2026-11-23T20:15:00.000Z</createTime>
<defaultVersion>false</defaultVersion><launchTemplateData>%s<userData>%s</userData></launchTemplateData>`,
		number, description, data, base64.StdEncoding.EncodeToString([]byte(userData)))
}

func described(next string, versions ...string) string {
	var b strings.Builder
	b.WriteString(`<DescribeLaunchTemplateVersionsResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><launchTemplateVersionSet>`)
	for _, v := range versions {
		b.WriteString("<item>" + v + "</item>")
	}
	b.WriteString("</launchTemplateVersionSet>" + next + "</DescribeLaunchTemplateVersionsResponse>")
	return b.String()
}

func created(number int, rest string) string {
	return `<CreateLaunchTemplateVersionResponse xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><launchTemplateVersion>` +
		versionXML(number, "d", "", "") + "</launchTemplateVersion>" + rest + "</CreateLaunchTemplateVersionResponse>"
}

var (
	notYet   = ec2Refusal(400, "InvalidLaunchTemplateId.VersionNotFound", "Could not find the specified version 8 for the launch template with ID lt-1.")
	newShop  = rollout.NewTemplateVersion{From: rollout.TemplateRef{ID: "lt-1", Version: "7"}, UserData: []byte("#!/bin/sh\nnew\n"), Description: "wpbake v42", Token: "token-1"}
	shopFrom = described("", versionXML(7, "before", shopData, "old"))
	shopMade = described("", versionXML(8, "wpbake v42", strings.Replace(shopData, "applied", "pending", 1), "#!/bin/sh\nnew\n"))
)

func TestCreate(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := newScript(t, map[string][]string{
			"DescribeLaunchTemplateVersions": {shopFrom, notYet, described(""), notYet, shopMade},
			"CreateLaunchTemplateVersion":    {created(8, "")},
		})
		got, err := awstest.Clients(t, s).Cloud().Templates.Create(t.Context(), newShop)
		if err != nil {
			t.Fatal(err)
		}
		want := rollout.TemplateVersion{
			TemplateRef: rollout.TemplateRef{ID: "lt-1", Name: "shop", Version: "8"}, Description: "wpbake v42",
			ImageID: "resolve:ssm:/shop/ami", UserData: newShop.UserData, Created: time.Date(2026, 11, 23, 20, 15, 0, 0, time.UTC),
		}
		if diff := cmp.Diff(want, got); diff != "" {
			t.Error(diff)
		}
		s.wantSent("CreateLaunchTemplateVersion", `
			ClientToken=token-1
			LaunchTemplateData.BlockDeviceMapping.1.DeviceName=/dev/xvda
			LaunchTemplateData.BlockDeviceMapping.1.Ebs.SnapshotId=snap-1
			LaunchTemplateData.BlockDeviceMapping.1.Ebs.VolumeSize=20
			LaunchTemplateData.IamInstanceProfile.Name=shop-node
			LaunchTemplateData.ImageId=resolve:ssm:/shop/ami
			LaunchTemplateData.InstanceType=t3.small
			LaunchTemplateData.MetadataOptions.HttpTokens=required
			LaunchTemplateData.SecurityGroupId.1=sg-1
			LaunchTemplateData.SecurityGroupId.2=sg-2
			LaunchTemplateData.TagSpecification.1.ResourceType=instance
			LaunchTemplateData.TagSpecification.1.Tag.1.Key=Name
			LaunchTemplateData.TagSpecification.1.Tag.1.Value=shop
			LaunchTemplateData.UserData=`+base64.StdEncoding.EncodeToString(newShop.UserData)+`
			LaunchTemplateId=lt-1
			VersionDescription=wpbake v42
			`)
		s.wantSent("DescribeLaunchTemplateVersions", "LaunchTemplateId=lt-1\nLaunchTemplateVersion.1=8\n")
	})
}

func TestCreateFindsDifferences(t *testing.T) {
	newer := "<hovercraft><eels>true</eels></hovercraft>" // a field no SDK of today knows
	for name, c := range map[string]struct {
		source, made string
		fields       []string
	}{
		"lost newer field": {described("", versionXML(7, "", shopData+newer, "old")), shopMade, []string{"hovercraft"}},
		"filled in":        {shopFrom, described("", versionXML(8, "wpbake v42", shopData+"<ebsOptimized>true</ebsOptimized>", "#!/bin/sh\nnew\n")), []string{"ebsOptimized"}},
		"snapshot dropped": {shopFrom, described("", versionXML(8, "wpbake v42", strings.Replace(shopData, "<snapshotId>snap-1</snapshotId>", "", 1), "#!/bin/sh\nnew\n")),
			[]string{"blockDeviceMappingSet"}},
		"other content": {shopFrom, described("", versionXML(8, "wpbake v41", shopData, "old")), []string{"userData", "versionDescription"}},
	} {
		t.Run(name, func(t *testing.T) {
			s := newScript(t, map[string][]string{
				"DescribeLaunchTemplateVersions": {c.source, c.made}, "CreateLaunchTemplateVersion": {created(8, "")},
			})
			_, err := awstest.Clients(t, s).Cloud().Templates.Create(t.Context(), newShop)
			differs := (*aws.Differs)(nil)
			if !errors.As(err, &differs) {
				t.Fatalf("got %v", err)
			}
			if diff := cmp.Diff(c.fields, differs.Fields); diff != "" {
				t.Error(diff)
			}
		})
	}
}

func TestCreateRefused(t *testing.T) {
	const warning = `<warning><errorSet><item><code>InvalidAMIID.NotFound</code><message>The image id '[ami-1]' does not exist</message></item></errorSet></warning>`
	s := newScript(t, map[string][]string{
		"DescribeLaunchTemplateVersions": {shopFrom}, "CreateLaunchTemplateVersion": {created(8, warning)},
	})
	_, err := awstest.Clients(t, s).Cloud().Templates.Create(t.Context(), newShop)
	want := `calling CreateLaunchTemplateVersion for "lt-1:7": InvalidAMIID.NotFound: The image id '[ami-1]' does not exist`
	if err == nil || err.Error() != want {
		t.Errorf("warning: %v", err)
	}

	s = newScript(t, map[string][]string{"DescribeLaunchTemplateVersions": {notYet}})
	if _, err := awstest.Clients(t, s).Cloud().Templates.Create(t.Context(), newShop); !errors.Is(err, rollout.ErrNoTemplate) {
		t.Errorf("no source: %v", err)
	}
}

func TestCreateGivesUpWaiting(t *testing.T) {
	virtual(t, func(t *testing.T) {
		s := newScript(t, map[string][]string{
			"DescribeLaunchTemplateVersions": {shopFrom, notYet}, "CreateLaunchTemplateVersion": {created(8, "")},
		})
		_, err := awstest.Clients(t, s).Cloud().Templates.Create(t.Context(), newShop)
		if !errors.Is(err, rollout.ErrNoTemplate) {
			t.Errorf("got %v", err)
		}
	})
}

func TestMayCreate(t *testing.T) {
	for code, want := range map[string]error{"DryRunOperation": nil, "UnauthorizedOperation": rollout.ErrDenied, "InvalidLaunchTemplateId.NotFound": rollout.ErrNoTemplate} {
		s := newScript(t, map[string][]string{"CreateLaunchTemplateVersion": {ec2Refusal(412, code, "…")}})
		if err := awstest.Clients(t, s).Cloud().Templates.MayCreate(t.Context(), "lt-1"); !errors.Is(err, want) {
			t.Errorf("%s: got %v, want %v", code, err, want)
		}
		if sent := s.sent("CreateLaunchTemplateVersion"); !strings.Contains(sent, "DryRun=true\n") {
			t.Errorf("no dry run: %s", sent)
		}
	}
}

func TestVersions(t *testing.T) {
	s := newScript(t, map[string][]string{"DescribeLaunchTemplateVersions": {
		described("<nextToken>n</nextToken>", versionXML(9, "nine", "<imageId>ami-9</imageId>", "user data"), versionXML(2, "two", "", "")),
		described("", versionXML(10, "ten", "", "")),
	}})
	got, err := awstest.Clients(t, s).Cloud().Templates.Versions(t.Context(), "lt-1")
	if err != nil {
		t.Fatal(err)
	}
	var text []string
	for _, v := range got {
		text = append(text, v.Version+" "+v.Description+" "+v.ImageID+" "+string(v.UserData))
	}
	if diff := cmp.Diff([]string{"10 ten  ", "9 nine ami-9 user data", "2 two  "}, text); diff != "" {
		t.Error(diff)
	}
}

func TestVersion(t *testing.T) {
	s := newScript(t, map[string][]string{"DescribeLaunchTemplateVersions": {shopFrom}})
	templates := awstest.Clients(t, s).Cloud().Templates
	for ref, want := range map[rollout.TemplateRef]string{
		{ID: "lt-1", Name: "shop", Version: "$Latest"}: "LaunchTemplateId=lt-1\nLaunchTemplateVersion.1=$Latest\n",
		{Name: "shop"}: "LaunchTemplateName=shop\nLaunchTemplateVersion.1=$Default\n",
	} {
		got, err := templates.Version(t.Context(), ref)
		if err != nil || got.Version != "7" || got.ID != "lt-1" || string(got.UserData) != "old" {
			t.Errorf("got %+v, %v", got, err)
		}
		s.wantSent("DescribeLaunchTemplateVersions", want)
	}
	s.answers["DescribeLaunchTemplateVersions"] = []string{notYet}
	if _, err := templates.Version(t.Context(), rollout.TemplateRef{ID: "lt-1", Version: "8"}); !errors.Is(err, rollout.ErrNoTemplate) {
		t.Errorf("got %v", err)
	}
	s.answers["DescribeLaunchTemplateVersions"] = []string{described("", strings.Replace(versionXML(7, "", "", ""), "<userData>", "<userData>%", 1))}
	if _, err := templates.Version(t.Context(), rollout.TemplateRef{ID: "lt-1"}); err == nil {
		t.Error("user data that is not base64 was taken")
	}
}
