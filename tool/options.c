/*
 * Reading the options of a command: see commands.h.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tool/commands.h"

void command_usage(const struct command *command)
{
    printf("Usage: %s\n\n%s", command->usage, command->details);
}

/* The option that a word names, or NULL; *value is what follows a "=". */
static const struct option_spec *find_option(const char *word,
                                             const struct option_spec *options,
                                             size_t count, const char **value)
{
    *value = NULL;
    if (word[1] != '-') {
        for (size_t i = 0; i < count; i++) {
            if (options[i].letter == 0 || options[i].letter != word[1])
                continue;
            if (word[2] != 0 && options[i].flag != NULL)
                continue;
            if (word[2] != 0)
                *value = word + 2;
            return &options[i];
        }
        return NULL;
    }
    size_t len = strcspn(word, "=");
    if (word[len] == '=')
        *value = word + len + 1;
    for (size_t i = 0; i < count; i++)
        if (strlen(options[i].name) == len &&
            strncmp(options[i].name, word, len) == 0)
            return &options[i];
    return NULL;
}

static _Noreturn void unknown_option(const struct command *command,
                                     const char *word,
                                     const struct option_spec *options,
                                     size_t count)
{
    struct names known = {0};
    for (size_t i = 0; i < count; i++)
        names_add(&known, options[i].name);
    names_add(&known, "--help");
    const char *name = keep_bytes(word, strcspn(word, "="));
    const char *own = "";
    if (strstr(command->usage, "-- ARGUMENT") != NULL ||
        strstr(command->usage, "[--] [ARGUMENT") != NULL)
        own = "; those of the unikernel come after `--'";
    die_usage("fata %s has no option %s%s; `fata help %s' lists them%s",
              command->name, name, suggestion(name, &known), command->name,
              own);
}

static _Noreturn void unexpected(const struct command *command,
                                 const char *word,
                                 const struct option_spec *options,
                                 size_t count)
{
    struct names targets = target_names();
    const char *remedy = format("the usage is: %s", command->usage);
    for (size_t i = 0; i < count; i++)
        if (options[i].letter == 't' && names_have(&targets, word))
            remedy = format("give the target as -t %s", word);
    die_usage("\"%s\" is not expected here; %s", word, remedy);
}

void read_options(const struct command *command, const char *const *words,
                  const struct option_spec *options, size_t count,
                  struct names *operands, struct names *unknown)
{
    for (; *words != NULL; words++) {
        const char *word = *words;
        if (strcmp(word, "--help") == 0) {
            command_usage(command);
            exit(0);
        }
        if (strcmp(word, "--") == 0) {
            words++;
            break;
        }
        if (word[0] != '-' || word[1] == 0) {
            if (operands == NULL)
                unexpected(command, word, options, count);
            if (command->words_follow)
                break;
            names_add(operands, word);
            continue;
        }
        const char *value;
        const struct option_spec *option =
            find_option(word, options, count, &value);
        if (option == NULL) {
            if (unknown == NULL || word[1] != '-')
                unknown_option(command, word, options, count);
            names_add(unknown, word);
            continue;
        }
        if (option->flag != NULL) {
            if (value != NULL)
                die_usage("the option %s takes no value", option->name);
            *option->flag = true;
            continue;
        }
        if (value == NULL)
            value = *++words;
        if (value == NULL)
            die_usage("the option %s needs a value; the usage is: %s",
                      option->name, command->usage);
        if (option->values != NULL)
            names_add(option->values, value);
        else
            *option->value = value;
    }
    for (; *words != NULL; words++) {
        if (operands == NULL)
            unexpected(command, *words, options, count);
        names_add(operands, *words);
    }
}
