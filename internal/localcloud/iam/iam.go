// Package iam is as much of IAM as launching an instance needs: instance
// profiles with a role in them. It knows names and what holds what; it judges
// no request and keeps no policies, because the local cloud lets its one user
// and its instances do everything.
package iam

import (
	"context"
	"crypto/rand"
	"encoding/base32"
	"encoding/json"
	"fmt"
	"net/url"
	"regexp"
	"slices"
	"sync"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/iam"
	"github.com/aws/aws-sdk-go-v2/service/iam/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// DefaultName is the role and the instance profile that are there from the
// start: an instance without a profile of its own has this role.
const DefaultName = "wpbake-node"

// Options configure a Service. Account must be set.
type Options struct {
	Account string
	Changed func() // called after each change; may be nil
}

// Service is IAM.
type Service struct {
	options Options
	mu      sync.Mutex
	state   state
}

// state is what survives a restart.
type state struct {
	Roles    []*role
	Profiles []*profile
}

type role struct {
	ID, Name, Path, Trust string
	Created               time.Time
}

type profile struct {
	ID, Name, Path string
	Role           string // name, "" for none
	Created        time.Time
}

// New makes a service with the default role in the default profile.
func New(o Options) *Service {
	if o.Changed == nil {
		o.Changed = func() {}
	}
	from := time.Date(2026, 1, 12, 10, 0, 0, 0, time.UTC)
	return &Service{options: o, state: state{
		Roles:    []*role{{ID: "AROAWPBAKENODE0000000", Name: DefaultName, Path: "/", Trust: ec2Trust, Created: from}},
		Profiles: []*profile{{ID: "AIPAWPBAKENODE0000000", Name: DefaultName, Path: "/", Role: DefaultName, Created: from}},
	}}
}

const ec2Trust = `{"Version":"2012-10-17","Statement":[{"Effect":"Allow","Principal":{"Service":"ec2.amazonaws.com"},"Action":"sts:AssumeRole"}]}`

// Actions are the operations served.
func (s *Service) Actions() wire.Actions {
	return wire.Actions{
		"CreateRole":                    wire.Handle(s.createRole),
		"GetRole":                       wire.Handle(s.getRole),
		"DeleteRole":                    wire.Handle(s.deleteRole),
		"CreateInstanceProfile":         wire.Handle(s.createInstanceProfile),
		"GetInstanceProfile":            wire.Handle(s.getInstanceProfile),
		"DeleteInstanceProfile":         wire.Handle(s.deleteInstanceProfile),
		"AddRoleToInstanceProfile":      wire.Handle(s.addRoleToInstanceProfile),
		"RemoveRoleFromInstanceProfile": wire.Handle(s.removeRoleFromInstanceProfile),
	}
}

// Snapshot is the state as JSON.
func (s *Service) Snapshot() ([]byte, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	return json.Marshal(s.state)
}

// Restore takes a snapshot back.
func (s *Service) Restore(snapshot []byte) error {
	var restored state
	if err := json.Unmarshal(snapshot, &restored); err != nil {
		return fmt.Errorf("reading state of iam: %w", err)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	s.state = restored
	return nil
}

// newID makes an identifier such as "AROAJ4Q5…".
func newID(prefix string) string {
	var b [10]byte
	_, _ = rand.Read(b[:]) // never fails: crypto/rand ends the program instead
	return prefix + base32.StdEncoding.EncodeToString(b[:])
}

var nameShape = regexp.MustCompile(`^[A-Za-z0-9+=,.@_-]+$`)

// checkName needs the most characters that a name may have.
func checkName(what, name string, most int) error {
	if len(name) > most || !nameShape.MatchString(name) {
		return wire.Errorf("ValidationError", "The specified value for %s is invalid. It must contain only alphanumeric characters and/or the following: +=,.@_-", what)
	}
	return nil
}

func notFound(format string, args ...any) error {
	return &wire.Error{Code: "NoSuchEntity", Status: 404, Message: fmt.Sprintf(format, args...)}
}

func conflict(code, format string, args ...any) error {
	return &wire.Error{Code: code, Status: 409, Message: fmt.Sprintf(format, args...)}
}

// role finds one; it needs the mutex.
func (s *Service) role(name string) (*role, error) {
	for _, one := range s.state.Roles {
		if one.Name == name {
			return one, nil
		}
	}
	return nil, notFound("The role with name %s cannot be found.", name)
}

// profile finds one; it needs the mutex.
func (s *Service) profile(name string) (*profile, error) {
	for _, one := range s.state.Profiles {
		if one.Name == name {
			return one, nil
		}
	}
	return nil, notFound("Instance Profile %s cannot be found.", name)
}

// HasInstanceProfile tells EC2 whether an instance can have a profile.
func (s *Service) HasInstanceProfile(name string) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	_, err := s.profile(name)
	return err == nil
}

func (s *Service) describeRole(one *role) *types.Role {
	return &types.Role{
		RoleName: &one.Name, RoleId: &one.ID, Path: &one.Path, CreateDate: &one.Created,
		Arn:                      aws.String("arn:aws:iam::" + s.options.Account + ":role" + one.Path + one.Name),
		AssumeRolePolicyDocument: aws.String(url.QueryEscape(one.Trust)), // as IAM answers
	}
}

// describeProfile needs the mutex.
func (s *Service) describeProfile(one *profile) *types.InstanceProfile {
	described := &types.InstanceProfile{
		InstanceProfileName: &one.Name, InstanceProfileId: &one.ID, Path: &one.Path, CreateDate: &one.Created, Roles: []types.Role{},
		Arn: aws.String("arn:aws:iam::" + s.options.Account + ":instance-profile" + one.Path + one.Name),
	}
	if held, err := s.role(one.Role); err == nil {
		described.Roles = append(described.Roles, *s.describeRole(held))
	}
	return described
}

func (s *Service) createRole(_ context.Context, in *iam.CreateRoleInput) (*iam.CreateRoleOutput, error) {
	name := aws.ToString(in.RoleName)
	if err := checkName("roleName", name, 64); err != nil {
		return nil, err
	}
	if !json.Valid([]byte(aws.ToString(in.AssumeRolePolicyDocument))) {
		return nil, wire.Errorf("MalformedPolicyDocument", "This policy contains invalid Json")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.role(name); err == nil {
		return nil, conflict("EntityAlreadyExists", "Role with name %s already exists.", name)
	}
	one := &role{ID: newID("AROA"), Name: name, Path: pathOf(in.Path), Trust: *in.AssumeRolePolicyDocument, Created: time.Now().UTC()}
	s.state.Roles = append(s.state.Roles, one)
	s.options.Changed()
	return &iam.CreateRoleOutput{Role: s.describeRole(one)}, nil
}

func pathOf(given *string) string {
	if aws.ToString(given) == "" {
		return "/"
	}
	return *given
}

func (s *Service) getRole(_ context.Context, in *iam.GetRoleInput) (*iam.GetRoleOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.role(aws.ToString(in.RoleName))
	if err != nil {
		return nil, err
	}
	return &iam.GetRoleOutput{Role: s.describeRole(one)}, nil
}

func (s *Service) deleteRole(_ context.Context, in *iam.DeleteRoleInput) (*iam.DeleteRoleOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.role(aws.ToString(in.RoleName))
	if err != nil {
		return nil, err
	}
	if slices.ContainsFunc(s.state.Profiles, func(p *profile) bool { return p.Role == one.Name }) {
		return nil, conflict("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	}
	s.state.Roles = slices.DeleteFunc(s.state.Roles, func(other *role) bool { return other == one })
	s.options.Changed()
	return &iam.DeleteRoleOutput{}, nil
}

func (s *Service) createInstanceProfile(_ context.Context, in *iam.CreateInstanceProfileInput) (*iam.CreateInstanceProfileOutput, error) {
	name := aws.ToString(in.InstanceProfileName)
	if err := checkName("instanceProfileName", name, 128); err != nil {
		return nil, err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := s.profile(name); err == nil {
		return nil, conflict("EntityAlreadyExists", "Instance Profile %s already exists.", name)
	}
	one := &profile{ID: newID("AIPA"), Name: name, Path: pathOf(in.Path), Created: time.Now().UTC()}
	s.state.Profiles = append(s.state.Profiles, one)
	s.options.Changed()
	return &iam.CreateInstanceProfileOutput{InstanceProfile: s.describeProfile(one)}, nil
}

func (s *Service) getInstanceProfile(_ context.Context, in *iam.GetInstanceProfileInput) (*iam.GetInstanceProfileOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.profile(aws.ToString(in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	return &iam.GetInstanceProfileOutput{InstanceProfile: s.describeProfile(one)}, nil
}

func (s *Service) deleteInstanceProfile(_ context.Context, in *iam.DeleteInstanceProfileInput) (*iam.DeleteInstanceProfileOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.profile(aws.ToString(in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	if one.Role != "" {
		return nil, conflict("DeleteConflict", "Cannot delete entity, must remove roles from instance profile first.")
	}
	s.state.Profiles = slices.DeleteFunc(s.state.Profiles, func(other *profile) bool { return other == one })
	s.options.Changed()
	return &iam.DeleteInstanceProfileOutput{}, nil
}

// addRoleToInstanceProfile keeps to IAM's quota: a profile has one role.
func (s *Service) addRoleToInstanceProfile(_ context.Context, in *iam.AddRoleToInstanceProfileInput) (*iam.AddRoleToInstanceProfileOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.profile(aws.ToString(in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	held, err := s.role(aws.ToString(in.RoleName))
	if err != nil {
		return nil, err
	}
	if one.Role != "" {
		return nil, conflict("LimitExceeded", "Cannot exceed quota for InstanceSessionsPerInstanceProfile: 1")
	}
	one.Role = held.Name
	s.options.Changed()
	return &iam.AddRoleToInstanceProfileOutput{}, nil
}

func (s *Service) removeRoleFromInstanceProfile(_ context.Context, in *iam.RemoveRoleFromInstanceProfileInput) (*iam.RemoveRoleFromInstanceProfileOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	one, err := s.profile(aws.ToString(in.InstanceProfileName))
	if err != nil {
		return nil, err
	}
	if one.Role == "" || one.Role != aws.ToString(in.RoleName) {
		return nil, notFound("The role with name %s cannot be found in the instance profile.", aws.ToString(in.RoleName))
	}
	one.Role = ""
	s.options.Changed()
	return &iam.RemoveRoleFromInstanceProfileOutput{}, nil
}
