// Ec2names writes the table of wire names that EC2's protocol needs and that
// the AWS SDK's exported types do not tell: members are called differently in
// requests, in answers and in Go. It reads them out of the SDK's generated
// code, for the operations in use only, and knows nothing of how they are used.
//
// It runs by "go generate ./internal/wire", whenever the EC2 module or the list
// of operations changes.
package main

import (
	"bytes"
	"fmt"
	"go/format"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"unicode"
)

const module = "github.com/aws/aws-sdk-go-v2/service/ec2"

// operations are those whose names are written; an operation of the local
// cloud that is missing here fails its tests.
func operations() []string {
	return []string{
		"CreateLaunchTemplate", "CreateLaunchTemplateVersion", "DeleteLaunchTemplate", "DeleteLaunchTemplateVersions",
		"DescribeLaunchTemplates", "DescribeLaunchTemplateVersions", "ModifyLaunchTemplate",
		"RunInstances", "DescribeInstances", "DescribeInstanceStatus", "TerminateInstances",
		"StartInstances", "StopInstances", "RebootInstances", "GetConsoleOutput",
		"CreateTags", "DeleteTags", "DescribeTags",
		"RegisterImage", "DescribeImages", "DeregisterImage", "CreateImage", "CopyImage",
		"ModifyImageAttribute", "DescribeImageAttribute", "EnableImageDeprecation", "DisableImageDeprecation",
		"EnableImageDeregistrationProtection", "DisableImageDeregistrationProtection",
		"CreateSnapshot", "CopySnapshot", "DeleteSnapshot", "DescribeSnapshots", "ModifySnapshotAttribute", "DescribeSnapshotAttribute",
		"CreateVolume", "DeleteVolume", "DescribeVolumes", "AttachVolume", "DetachVolume",
		"GetEbsEncryptionByDefault", "EnableEbsEncryptionByDefault", "DisableEbsEncryptionByDefault",
		"CreateKeyPair", "ImportKeyPair", "DeleteKeyPair", "DescribeKeyPairs",
		"CreateSecurityGroup", "DeleteSecurityGroup", "AuthorizeSecurityGroupIngress", "ModifyInstanceAttribute",
		"DescribeSubnets", "DescribeVpcs", "DescribeSecurityGroups",
		"DescribeAvailabilityZones", "DescribeRegions",
	}
}

func main() {
	text, err := generate()
	if err == nil {
		err = os.WriteFile("ec2_names.go", text, 0o644)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "ec2names:", err)
		os.Exit(1)
	}
}

func generate() ([]byte, error) {
	dir, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", module).Output()
	if err != nil {
		return nil, fmt.Errorf("finding module %q: %w", module, err)
	}
	read := func(file, op string, parse func(string) (structure, error)) (table, error) {
		source, err := os.ReadFile(filepath.Join(strings.TrimSpace(string(dir)), file))
		if err != nil {
			return table{}, err
		}
		return collect(functions(string(source)), op, parse)
	}
	requests, err := read("serializers.go", "awsEc2query_serializeOpDocument%sInput", parseSerializer)
	if err != nil {
		return nil, fmt.Errorf("reading requests: %w", err)
	}
	answers, err := read("deserializers.go", "awsEc2query_deserializeOpDocument%sOutput", parseDeserializer)
	if err != nil {
		return nil, fmt.Errorf("reading answers: %w", err)
	}
	return format.Source(render(requests, answers))
}

// table holds wire names by "Type.Field": of members, and of what is inside a
// list where that is not "item".
type table struct {
	members, items map[string]string
}

// structure is what one generated function says about a type, or about a list
// when typ is empty.
type structure struct {
	typ     string
	members map[string]string // wire name by field
	callees map[string]string // the function that a field is handed to
	item    string            // the element inside a list
	calls   []string
}

// functions splits generated source into function bodies by function name.
func functions(source string) map[string]string {
	found := map[string]string{}
	for _, text := range strings.Split(source, "\nfunc ")[1:] {
		name, _, ok := strings.Cut(text, "(")
		if ok && name != "" {
			found[name] = text
		}
	}
	return found
}

// collect follows the calls from the operations' functions on.
func collect(source map[string]string, op string, parse func(string) (structure, error)) (table, error) {
	var queue []string
	for _, name := range operations() {
		queue = append(queue, fmt.Sprintf(op, name))
	}
	seen := map[string]structure{}
	for len(queue) > 0 {
		function := queue[0]
		queue = queue[1:]
		text, ok := source[function]
		if _, again := seen[function]; again || !ok { // an operation without output has no function
			continue
		}
		found, err := parse(text)
		if err != nil {
			return table{}, fmt.Errorf("%s: %w", function, err)
		}
		seen[function] = found
		queue = append(queue, found.calls...)
	}
	return tabulate(seen)
}

func tabulate(seen map[string]structure) (table, error) {
	all := table{members: map[string]string{}, items: map[string]string{}}
	for _, found := range seen {
		for field, name := range found.members {
			all.members[found.typ+"."+field] = name
		}
		for field, callee := range found.callees {
			if item := seen[callee].item; item != "" && item != "item" {
				all.items[found.typ+"."+field] = item
			}
		}
	}
	if len(all.members) == 0 {
		return all, fmt.Errorf("no names found: the SDK's generated code has another shape now")
	}
	return all, nil
}

func parseSerializer(text string) (structure, error) {
	var (
		signature = regexp.MustCompile(`^\w+\(v \*(?:types\.)?(\w+), value query\.Value\)`)
		field     = regexp.MustCompile(`^\tif (?:len\()?v\.(\w+)`)
		key       = regexp.MustCompile(`object\.(?:Flat)?Key\("(\w+)"\)`)
		call      = regexp.MustCompile(`(awsEc2query_serializeDocument\w+)\(`)
	)
	found, current := structure{members: map[string]string{}, calls: matches(call, text)}, ""
	if m := signature.FindStringSubmatch(text); m != nil {
		found.typ = m[1]
	}
	for line := range strings.Lines(text) {
		if m := field.FindStringSubmatch(line); m != nil {
			current = m[1]
		}
		if m := key.FindStringSubmatch(line); m != nil && current != "" {
			found.members[current] = m[1]
		}
	}
	if found.typ == "" && len(found.members) > 0 {
		return found, fmt.Errorf("fields of an unknown type")
	}
	return found, nil
}

func parseDeserializer(text string) (structure, error) {
	var (
		signature = regexp.MustCompile(`^\w+\(v \*\*(?:types\.)?(\w+), decoder`)
		name      = regexp.MustCompile(`EqualFold\("(\w+)", t\.Name\.Local\)`)
		field     = regexp.MustCompile(`\bsv\.(\w+)`)
		call      = regexp.MustCompile(`(awsEc2query_deserializeDocument\w+)\(`)
	)
	found := structure{members: map[string]string{}, callees: map[string]string{}, calls: matches(call, text)}
	if m := signature.FindStringSubmatch(text); m != nil {
		found.typ = m[1]
	}
	for line := range strings.Lines(text) {
		if m := name.FindStringSubmatch(line); m != nil {
			found.item = m[1]
		}
		m := field.FindStringSubmatch(line)
		if m == nil || found.typ == "" || found.item == "" {
			continue
		}
		found.members[m[1]] = found.item
		if callee := call.FindStringSubmatch(line); callee != nil {
			found.callees[m[1]] = callee[1]
		}
	}
	if found.typ != "" {
		found.item = ""
	}
	return found, nil
}

func matches(pattern *regexp.Regexp, text string) []string {
	var found []string
	for _, m := range pattern.FindAllStringSubmatch(text, -1) {
		found = append(found, m[1])
	}
	return found
}

// render writes only what the rules do not give: requests use the field's
// name, answers the field's name with a small first letter.
func render(requests, answers table) []byte {
	var out bytes.Buffer
	out.WriteString("// Code generated by ec2names from " + module + ". DO NOT EDIT.\n\npackage wire\n\n")
	out.WriteString("// ec2Knows reports whether the tables below hold an operation's names.\n")
	out.WriteString("func ec2Knows(operation string) bool {\nswitch operation {\ncase ")
	quoted := operations()
	slices.Sort(quoted)
	for i, name := range quoted {
		quoted[i] = fmt.Sprintf("%q", name)
	}
	out.WriteString(strings.Join(quoted, ",\n") + ":\nreturn true\n}\nreturn false\n}\n\n")
	writeSwitch(&out, "ec2RequestName", requests.members, func(field string) string { return field })
	writeSwitch(&out, "ec2AnswerName", answers.members, lowerFirst)
	writeSwitch(&out, "ec2ItemName", answers.items, func(string) string { return "item" })
	return out.Bytes()
}

func writeSwitch(out *bytes.Buffer, function string, names map[string]string, rule func(string) string) {
	byName := map[string][]string{}
	for key, name := range names {
		_, field, _ := strings.Cut(key, ".")
		if rule(field) != name {
			byName[name] = append(byName[name], fmt.Sprintf("%q", key))
		}
	}
	fmt.Fprintf(out, "// %s returns the wire name of a \"Type.Field\", or \"\" when the rule gives it.\n", function)
	fmt.Fprintf(out, "func %s(key string) string {\nswitch key {\n", function)
	for _, name := range slices.Sorted(maps.Keys(byName)) {
		keys := byName[name]
		slices.Sort(keys)
		fmt.Fprintf(out, "case %s:\nreturn %q\n", strings.Join(keys, ",\n"), name)
	}
	out.WriteString("}\nreturn \"\"\n}\n\n")
}

func lowerFirst(s string) string {
	return string(unicode.ToLower(rune(s[0]))) + s[1:]
}
