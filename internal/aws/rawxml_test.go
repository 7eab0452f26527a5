package aws

import (
	"slices"
	"testing"
)

func TestChangedFields(t *testing.T) {
	const source = `<launchTemplateData>
		<imageId>ami-1</imageId><userData>YQ==</userData>
		<metadataOptions><httpTokens>required</httpTokens><state>applied</state></metadataOptions>
		<tagSpecificationSet><item><resourceType>instance</resourceType><tagSet>
			<item><key>a</key><value>1</value></item><item><key>b</key><value></value></item>
		</tagSet></item></tagSpecificationSet>
		<securityGroupSet/><newerThanTheSDK><depth>3</depth></newerThanTheSDK>
	</launchTemplateData>`
	for name, c := range map[string]struct {
		made string
		want []string
	}{
		"same but for order, state, user data and emptiness": {`<launchTemplateData><userData>Yg==</userData>
			<tagSpecificationSet><item><tagSet><item><key>b</key></item><item><value>1</value><key>a</key></item></tagSet>
			<resourceType>instance</resourceType></item></tagSpecificationSet>
			<newerThanTheSDK><depth>3</depth></newerThanTheSDK><imageId>ami-1</imageId>
			<metadataOptions><httpTokens>required</httpTokens><state>pending</state></metadataOptions></launchTemplateData>`, nil},
		"lost, changed and new": {`<launchTemplateData><imageId>ami-2</imageId><kernelId>aki-1</kernelId>
			<metadataOptions><httpTokens>required</httpTokens></metadataOptions>
			<tagSpecificationSet><item><resourceType>instance</resourceType><tagSet>
			<item><key>b</key><value>1</value></item><item><key>a</key></item></tagSet></item></tagSpecificationSet>
			</launchTemplateData>`, []string{"imageId", "kernelId", "newerThanTheSDK", "tagSpecificationSet"}},
		"nothing at all": {`<other/>`, []string{"imageId", "metadataOptions", "newerThanTheSDK", "tagSpecificationSet"}},
	} {
		t.Run(name, func(t *testing.T) {
			before, err := parseXML([]byte(source))
			if err != nil {
				t.Fatal(err)
			}
			after, err := parseXML([]byte(c.made))
			if err != nil {
				t.Fatal(err)
			}
			if got := changedFields(before.find("launchTemplateData"), after.find("launchTemplateData")); !slices.Equal(got, c.want) {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	if _, err := parseXML([]byte("<a><b></a>")); err == nil {
		t.Error("no error for broken XML")
	}
}
