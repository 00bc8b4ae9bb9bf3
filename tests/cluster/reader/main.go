// SPDX-License-Identifier: Apache-2.0

// Command reader reads texts and quantities as kubectl and the API server do, for the tests to compare.
//
// Standard input is {"texts": [...], "quantities": [...]}: texts of files, and JSON values as they stand in a file.
// Standard output is {"texts": [...], "quantities": [...]}: for a text {"documents": [...]} or {"error": ...}, for a
// quantity {"unscaled": "15", "scale": 1} for 1.5, or {"error": ...}.
package main

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"log"
	"os"
	"strings"

	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/apimachinery/pkg/runtime"
	utiljson "k8s.io/apimachinery/pkg/util/json"
	"k8s.io/apimachinery/pkg/util/yaml"
)

type question struct {
	Texts      []string `json:"texts"`
	Quantities []string `json:"quantities"`
}

type text struct {
	Documents []any  `json:"documents"`
	Error     string `json:"error,omitempty"`
}

type quantity struct {
	Unscaled string `json:"unscaled,omitempty"`
	Scale    int32  `json:"scale"`
	Error    string `json:"error,omitempty"`
}

type answer struct {
	Texts      []text     `json:"texts"`
	Quantities []quantity `json:"quantities"`
}

func main() {
	var asked question
	if err := json.NewDecoder(os.Stdin).Decode(&asked); err != nil {
		log.Fatal(err)
	}
	said := answer{Texts: []text{}, Quantities: []quantity{}}
	for _, each := range asked.Texts {
		documents, err := readText(each)
		if err != nil {
			said.Texts = append(said.Texts, text{Error: err.Error()})
		} else {
			said.Texts = append(said.Texts, text{Documents: documents})
		}
	}
	for _, each := range asked.Quantities {
		said.Quantities = append(said.Quantities, readQuantity(each))
	}
	if err := json.NewEncoder(os.Stdout).Encode(said); err != nil {
		log.Fatal(err)
	}
}

// readText does what StreamVisitor of k8s.io/cli-runtime/pkg/resource does, up to the unstructured object.
func readText(content string) (documents []any, err error) {
	defer func() {
		if caught := recover(); caught != nil {
			err = fmt.Errorf("panic: %v", caught)
		}
	}()
	documents = []any{}
	decoder := yaml.NewYAMLOrJSONDecoder(strings.NewReader(content), 4096)
	for {
		extension := runtime.RawExtension{}
		if err := decoder.Decode(&extension); err != nil {
			if errors.Is(err, io.EOF) {
				return documents, nil
			}
			return nil, err
		}
		raw := bytes.TrimSpace(extension.Raw)
		if len(raw) == 0 || bytes.Equal(raw, []byte("null")) {
			continue
		}
		var document any
		if err := utiljson.Unmarshal(raw, &document); err != nil {
			return nil, err
		}
		documents = append(documents, document)
	}
}

func readQuantity(value string) quantity {
	var read resource.Quantity
	if err := json.Unmarshal([]byte(value), &read); err != nil {
		return quantity{Error: err.Error()}
	}
	amount := read.AsDec()
	return quantity{Unscaled: amount.UnscaledBig().String(), Scale: int32(amount.Scale())}
}
