package ssm

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"slices"
	"strings"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ssm"
	"github.com/aws/aws-sdk-go-v2/service/ssm/types"

	"github.com/wpbake/wpbake/internal/wire"
)

// pageSize is the most parameters in one answer.
const pageSize = 10

func (s *Service) describe(p *parameter, v *version, decrypted *bool) types.Parameter {
	value := v.Value
	if p.Type == types.ParameterTypeSecureString && !aws.ToBool(decrypted) {
		value = sealed(value)
	}
	return types.Parameter{
		Name: aws.String(p.Name), Type: p.Type, Value: &value, Version: v.Number, DataType: aws.String(p.DataType),
		LastModifiedDate: aws.Time(v.At),
		ARN:              aws.String("arn:aws:ssm:" + s.options.Region + ":" + s.options.Account + ":parameter/" + strings.TrimPrefix(p.Name, "/")),
	}
}

// sealed stands for the encrypted value: a reader that forgets to ask for
// decryption must not get along with it.
func sealed(value string) string {
	sum := sha256.Sum256([]byte(value))
	return "AQICAH" + base64.StdEncoding.EncodeToString(sum[:])
}

func (s *Service) getParameter(_ context.Context, in *ssm.GetParameterInput) (*ssm.GetParameterOutput, error) {
	s.mu.Lock()
	defer s.mu.Unlock()
	p, v, selector, err := s.find(aws.ToString(in.Name))
	if err != nil {
		return nil, err
	}
	found := s.describe(p, v, in.WithDecryption)
	if selector != "" {
		found.Selector = &selector
	}
	return &ssm.GetParameterOutput{Parameter: &found}, nil
}

func (s *Service) getParameters(_ context.Context, in *ssm.GetParametersInput) (*ssm.GetParametersOutput, error) {
	if len(in.Names) == 0 || len(in.Names) > pageSize {
		return nil, wire.Errorf("ValidationException", "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must have length between 1 and %d", pageSize)
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &ssm.GetParametersOutput{}
	for _, name := range in.Names {
		p, v, selector, err := s.find(name)
		if err != nil {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		found := s.describe(p, v, in.WithDecryption)
		if selector != "" {
			found.Selector = &selector
		}
		out.Parameters = append(out.Parameters, found)
	}
	return out, nil
}

// getParametersByPath pages by name: a parameter that comes or goes between
// two pages moves no other.
func (s *Service) getParametersByPath(_ context.Context, in *ssm.GetParametersByPathInput) (*ssm.GetParametersByPathOutput, error) {
	path := aws.ToString(in.Path)
	if !strings.HasPrefix(path, "/") {
		return nil, wire.Errorf("ValidationException", `The parameter doesn't meet the parameter name requirements. The parameter name must begin with a forward slash "/".`)
	}
	size := pageSize
	if in.MaxResults != nil {
		if size = int(*in.MaxResults); size < 1 || size > pageSize {
			return nil, wire.Errorf("ValidationException", "1 validation error detected: Value '%d' at 'maxResults' failed to satisfy constraint: Member must have value between 1 and %d", size, pageSize)
		}
	}
	after, err := base64.RawURLEncoding.DecodeString(aws.ToString(in.NextToken))
	if err != nil {
		return nil, wire.Errorf("InvalidNextToken", "The specified token isn't valid.")
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	out := &ssm.GetParametersByPathOutput{}
	for _, p := range s.parameters {
		if p.Name <= string(after) || !below(path, p.Name, aws.ToBool(in.Recursive)) {
			continue
		}
		if len(out.Parameters) == size {
			out.NextToken = aws.String(base64.RawURLEncoding.EncodeToString([]byte(*out.Parameters[size-1].Name)))
			break
		}
		out.Parameters = append(out.Parameters, s.describe(p, &p.Versions[len(p.Versions)-1], in.WithDecryption))
	}
	return out, nil
}

func below(path, name string, recursive bool) bool {
	rest, ok := strings.CutPrefix(name, strings.TrimSuffix(path, "/")+"/")
	return ok && (recursive || !strings.Contains(rest, "/"))
}

func (s *Service) deleteParameter(ctx context.Context, in *ssm.DeleteParameterInput) (*ssm.DeleteParameterOutput, error) {
	out, err := s.deleteParameters(ctx, &ssm.DeleteParametersInput{Names: []string{aws.ToString(in.Name)}})
	if err == nil && len(out.InvalidParameters) > 0 {
		err = wire.Errorf("ParameterNotFound", "Parameter %s not found.", aws.ToString(in.Name))
	}
	return &ssm.DeleteParameterOutput{}, err
}

func (s *Service) deleteParameters(_ context.Context, in *ssm.DeleteParametersInput) (*ssm.DeleteParametersOutput, error) {
	if len(in.Names) == 0 {
		return nil, wire.Errorf("ValidationException", "1 validation error detected: Value at 'names' failed to satisfy constraint: Member must not be empty")
	}
	s.mu.Lock()
	out := &ssm.DeleteParametersOutput{}
	for _, name := range in.Names {
		at, exists := s.search(name)
		if !exists {
			out.InvalidParameters = append(out.InvalidParameters, name)
			continue
		}
		s.parameters = slices.Delete(s.parameters, at, at+1)
		out.DeletedParameters = append(out.DeletedParameters, name)
	}
	s.mu.Unlock()
	s.options.Changed()
	return out, nil
}
