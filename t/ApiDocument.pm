# What tests of documents in the form of OpenAPI share.

package ApiDocument;

use strict;
use warnings FATAL => 'all';

use JSON::PP;
use PostgreSQL::Test::Utils;

sub new
{
	my ($class, $file) = @_;

	return bless { api => decode_json(slurp_file($file)) }, $class;
}

# Follows a reference within the document.
sub resolve
{
	my ($self, $what) = @_;

	return $what if ref $what ne 'HASH' || !exists $what->{'$ref'};
	my $found = $self->{api};
	$found = $found->{$_} for split /\//, $what->{'$ref'} =~ s/^#\///r;
	return $found;
}

# What is wrong with a value; the empty string if nothing is.
sub mismatch
{
	my ($self, $value, $schema, $where) = @_;

	$schema = $self->resolve($schema);
	my $type = $schema->{type} // return '';
	return '' if !defined $value && $schema->{nullable};
	my $is =
		!defined $value ? 'null'
	  : ref $value eq 'HASH' ? 'object'
	  : ref $value eq 'ARRAY' ? 'array'
	  : JSON::PP::is_bool($value) ? 'boolean'
	  : $value =~ /^-?\d+$/ && $type eq 'integer' ? 'integer'
	  : $type eq 'number' && $value =~ /^-?[\d.]+(e[-+]?\d+)?$/ ? 'number'
	  : 'string';

	return "$where is $is, not $type" if $is ne $type;
	return "$where is \"$value\"" if $schema->{enum} && !grep { $_ eq $value } @{ $schema->{enum} };
	if ($type eq 'array')
	{
		for my $element (@$value)
		{
			my $problem = $self->mismatch($element, $schema->{items}, "element of $where");
			return $problem if $problem;
		}
	}
	return '' if $type ne 'object';
	for my $name (@{ $schema->{required} // [] })
	{
		return "$where has no $name" if !exists $value->{$name};
	}
	for my $name (keys %$value)
	{
		my $member = ($schema->{properties} // {})->{$name} // $schema->{additionalProperties};

		return "$where has $name" if !defined $member && $schema->{properties};
		my $problem = $self->mismatch($value->{$name}, $member // {}, "$where.$name");
		return $problem if $problem;
	}
	return '';
}

1;
