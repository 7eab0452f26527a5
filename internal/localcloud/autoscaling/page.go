package autoscaling

import (
	"strconv"

	"github.com/aws/aws-sdk-go-v2/aws"

	"github.com/wpbake/wpbake/internal/wire"
)

// pageSize bounds how many records one answer holds.
type pageSize struct{ Default, Max int32 }

// page cuts the part out of all that a token and a record count ask for.
func page[T any](all []T, token *string, records *int32, size pageSize) ([]T, *string, error) {
	from := 0
	if token != nil && *token != "" {
		at, err := strconv.Atoi(*token)
		if err != nil || at < 0 || at > len(all) {
			return nil, nil, wire.Errorf("InvalidNextToken", "The NextToken value is not valid.")
		}
		from = at
	}
	count := size.Default
	if records != nil {
		if *records < 1 || *records > size.Max {
			return nil, nil, invalid("1 validation error detected: Value '%d' at 'maxRecords' failed to satisfy constraint: Member must have value between 1 and %d", *records, size.Max)
		}
		count = *records
	}
	to := min(len(all), from+int(count))
	part := append([]T{}, all[from:to]...)
	if to == len(all) {
		return part, nil, nil
	}
	return part, aws.String(strconv.Itoa(to)), nil
}
