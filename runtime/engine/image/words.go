package image

import (
	"strings"
)

// lookupIn finds variables in an environment.
func lookupIn(env []string) func(string) string {
	return func(name string) string {
		for _, e := range env {
			if value, ok := strings.CutPrefix(e, name+"="); ok {
				return value
			}
		}
		return ""
	}
}

// split reads words as a Dockerfile has them: quotes keep blanks, a backslash the next character, and $NAME or ${NAME} stand
// for values, but not in single quotes.
func split(s string, lookup func(string) string) ([]string, error) {
	var words []string
	var word strings.Builder
	begun := false
	quote := byte(0)
	for i := 0; i < len(s); i++ {
		switch c := s[i]; {
		case quote == 0 && (c == ' ' || c == '\t'):
			if begun {
				words = append(words, word.String())
				word.Reset()
			}
			begun = false
			continue
		case c == '\\' && quote != '\'' && i+1 < len(s):
			i++
			word.WriteByte(s[i])
		case quote != 0 && c == quote:
			quote = 0
		case quote == 0 && (c == '"' || c == '\''):
			quote = c
		case c == '$' && quote != '\'':
			name, end := variable(s, i+1)
			if name == "" {
				word.WriteByte(c)
				break
			}
			word.WriteString(lookup(name))
			i = end - 1
		default:
			word.WriteByte(c)
		}
		begun = true
	}
	if quote != 0 {
		return nil, invalid("unexpected end of statement while looking for matching %q in %q", string(quote), s)
	}
	if begun {
		words = append(words, word.String())
	}
	return words, nil
}

// variable reads the name of a variable at i, and returns where it ends. The name is empty where there is none.
func variable(s string, i int) (name string, end int) {
	if i < len(s) && s[i] == '{' {
		if n := strings.IndexByte(s[i:], '}'); n > 1 {
			return s[i+1 : i+n], i + n + 1
		}
		return "", i
	}
	end = i
	for end < len(s) && (s[end] == '_' || s[end] >= 'a' && s[end] <= 'z' || s[end] >= 'A' && s[end] <= 'Z' ||
		end > i && s[end] >= '0' && s[end] <= '9') {
		end++
	}
	return s[i:end], end
}

// one is the whole of the arguments as one word.
func one(instruction, args string, lookup func(string) string) (string, error) {
	words, err := split(args, lookup)
	if err != nil {
		return "", err
	}
	if len(words) != 1 {
		return "", invalid("%s requires exactly one argument", instruction)
	}
	return words[0], nil
}

// pairsOf reads NAME=VALUE …, or the old form NAME VALUE.
func pairsOf(instruction, args string, lookup func(string) string) ([][2]string, error) {
	first, rest, _ := strings.Cut(args, " ")
	if !strings.Contains(first, "=") {
		words, err := split(rest, lookup)
		if err != nil {
			return nil, err
		}
		if len(words) == 0 {
			return nil, invalid("%s must have two arguments", instruction)
		}
		return [][2]string{{first, strings.Join(words, " ")}}, nil
	}
	words, err := split(args, lookup)
	if err != nil {
		return nil, err
	}
	var pairs [][2]string
	for _, w := range words {
		name, value, ok := strings.Cut(w, "=")
		if !ok {
			return nil, invalid("Syntax error - can't find = in %q. Must be of the form: name=value", w)
		}
		if name == "" {
			return nil, invalid("%s names can not be blank", instruction)
		}
		pairs = append(pairs, [2]string{name, value})
	}
	return pairs, nil
}
