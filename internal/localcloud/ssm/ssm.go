// Package ssm is a part of Systems Manager on this machine: the parameter store
// with versions, by name and by path, and Run Command with shell scripts. It
// knows nothing of the rest of Systems Manager, and what it calls encrypted only
// looks so.
package ssm

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/wpbake/wpbake/internal/wire"
)

const (
	maxVersions = 100 // the oldest are forgotten
	maxStandard = 4 << 10
	maxAdvanced = 8 << 10
	maxLevels   = 15
)

// Options configure a Service. Region and Account must be set.
type Options struct {
	Region, Account string
	Changed         func() // called after each change; may be nil
	Run             Run    // runs commands on instances; nil: no instance is managed
}

// Service is the parameter store and Run Command.
type Service struct {
	options Options

	mu         sync.Mutex
	parameters []*parameter  // by name
	commands   []*invocation // oldest first
}

// parameter holds its versions, oldest first and never empty.
type parameter struct {
	Name     string
	Type     types.ParameterType
	DataType string
	Tier     types.ParameterTier
	Versions []version
}

type version struct {
	Number int64
	Value  string
	At     time.Time
}

// New makes an empty store.
func New(o Options) *Service {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	return &Service{options: o}
}

// Actions are the operations served.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"PutParameter":        wire.Handle(s.putParameter),
		"GetParameter":        wire.Handle(s.getParameter),
		"GetParameters":       wire.Handle(s.getParameters),
		"GetParametersByPath": wire.Handle(s.getParametersByPath),
		"DeleteParameter":     wire.Handle(s.deleteParameter),
		"DeleteParameters":    wire.Handle(s.deleteParameters),

		"SendCommand":          wire.Handle(s.sendCommand),
		"GetCommandInvocation": wire.Handle(s.getCommandInvocation),
	}
}

// Snapshot is the state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.parameters)
}

// Restore takes a snapshot back.
func (s *Service) Restore(snapshot []byte) error {
	var restored []*parameter
	if err := json.Unmarshal(snapshot, &restored); err != nil {
		return fmt.Errorf("reading state of ssm: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.parameters = restored
	return nil
}

// Value is a parameter's value for another service, which names it as a
// client would.
func (s *Service) Value(name string) (string, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, v, _, err := s.find(name)
	if err != nil {
		return "", err
	}
	if p.Type == types.ParameterTypeSecureString {
		return "", wire.Errorf("ValidationException", "A SecureString is not resolved.")
	}
	return v.Value, nil
}

// search finds where a name is or belongs.
func (s *Service) search(name string) (int, bool) {
	return slices.BinarySearchFunc(s.parameters, name, func(p *parameter, name string) int { return cmp.Compare(p.Name, name) })
}

func (s *Service) putParameter(_ context.Context, in *ssm.PutParameterInput) (*ssm.PutParameterOutput, error) {
	if err := checkName(aws.ToString(in.Name)); err != nil {
		return nil, err
	}
	tier, err := checkValue(in)
	if err != nil {
		return nil, err
	}
	s.mu.Lock()
	number, err := s.put(in, tier)
	s.mu.Unlock()
	if err != nil {
		return nil, err
	}
	s.options.Changed()
	return &ssm.PutParameterOutput{Version: number, Tier: tier}, nil
}

func (s *Service) put(in *ssm.PutParameterInput, tier types.ParameterTier) (int64, error) {
	at, exists := s.search(*in.Name)
	if exists && !aws.ToBool(in.Overwrite) {
		return 0, wire.Errorf("ParameterAlreadyExists", "The parameter already exists. To overwrite this value, set the overwrite option in the request to true.")
	}
	if !exists {
		if in.Type == "" {
			return 0, wire.Errorf("ValidationException", "A parameter type is required when you create a parameter.")
		}
		s.parameters = slices.Insert(s.parameters, at, &parameter{Name: *in.Name, Type: in.Type})
	}
	p := s.parameters[at]
	if in.Type != "" && in.Type != p.Type {
		return 0, wire.Errorf("HierarchyTypeMismatchException", "Parameter Store doesn't support changing a parameter type in a hierarchy.")
	}
	next := int64(1)
	if n := len(p.Versions); n > 0 {
		next = p.Versions[n-1].Number + 1
	}
	p.Tier, p.DataType = tier, cmp.Or(aws.ToString(in.DataType), "text")
	p.Versions = append(p.Versions, version{Number: next, Value: *in.Value, At: time.Now().UTC()})
	p.Versions = p.Versions[max(0, len(p.Versions)-maxVersions):]
	return next, nil
}

func checkName(name string) error {
	if len(name) > 1011 || !regexp.MustCompile(`^[a-zA-Z0-9_./-]+$`).MatchString(name) {
		return wire.Errorf("ValidationException", "Parameter name: can't be empty, and may have letters, digits and the symbols .-_/ only.")
	}
	if strings.Contains(name, "/") && !strings.HasPrefix(name, "/") {
		return wire.Errorf("ValidationException", "Parameter name must be a fully qualified name: it must begin with a slash.")
	}
	if strings.Count(name, "/") > maxLevels {
		return wire.Errorf("HierarchyLevelLimitExceededException", "Parameter name has more than %d levels.", maxLevels)
	}
	lower := strings.ToLower(strings.TrimPrefix(name, "/"))
	if strings.HasPrefix(lower, "aws") || strings.HasPrefix(lower, "ssm") {
		return wire.Errorf("ValidationException", `Parameter name: can't be prefixed with "aws" or "ssm" (case-insensitive).`)
	}
	return nil
}

func checkValue(in *ssm.PutParameterInput) (types.ParameterTier, error) {
	value := aws.ToString(in.Value)
	if value == "" {
		return "", wire.Errorf("ValidationException", "1 validation error detected: Value at 'value' failed to satisfy constraint: Member must not be null")
	}
	if strings.Contains(value, "{{") {
		return "", wire.Errorf("ValidationException", "Parameter value can't nest another parameter. Do not use {{}} in the value.")
	}
	if in.Type != "" && !slices.Contains(in.Type.Values(), in.Type) {
		return "", wire.Errorf("UnsupportedParameterType", "Parameter type %s is not supported.", in.Type)
	}
	tier := cmp.Or(in.Tier, types.ParameterTierStandard)
	if tier == types.ParameterTierIntelligentTiering {
		tier = types.ParameterTierStandard
		if len(value) > maxStandard {
			tier = types.ParameterTierAdvanced
		}
	}
	limit := maxStandard
	if tier == types.ParameterTierAdvanced {
		limit = maxAdvanced
	}
	if len(value) > limit {
		return "", wire.Errorf("ValidationException", "%s tier parameters support a maximum parameter value of %d characters.", tier, limit)
	}
	return tier, nil
}

// find reads a name with an optional ":version", or an ARN.
func (s *Service) find(name string) (*parameter, *version, string, error) {
	if _, tail, ok := strings.Cut(name, ":parameter/"); ok && strings.HasPrefix(name, "arn:") {
		name = "/" + tail
		if _, exists := s.search(strings.Split(name, ":")[0]); !exists {
			name = tail // one without hierarchy has no slash of its own
		}
	}
	plain, selector, _ := strings.Cut(name, ":")
	at, exists := s.search(plain)
	if !exists {
		return nil, nil, "", wire.Errorf("ParameterNotFound", "Parameter %s not found.", plain)
	}
	p := s.parameters[at]
	if selector == "" {
		return p, &p.Versions[len(p.Versions)-1], "", nil
	}
	number, err := strconv.ParseInt(selector, 10, 64)
	n := slices.IndexFunc(p.Versions, func(v version) bool { return v.Number == number })
	if err != nil || n < 0 {
		return nil, nil, "", wire.Errorf("ParameterVersionNotFound", "Systems Manager could not find version %s of %s.", selector, plain)
	}
	return p, &p.Versions[n], ":" + selector, nil
}
