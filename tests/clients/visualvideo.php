<?php
/**
 * Calls get-token as the PHP client of the 23 API does, and prints what comes back.
 *
 *     php visualvideo.php BASE_URL CONSUMER_KEY CONSUMER_SECRET ACCESS_TOKEN ACCESS_SECRET
 *
 * Where that client departs from RFC 5849, so does this: names and values go through urlencode(),
 * so that a space is a plus and a tilde is %7E; they are sorted before that; the secrets are
 * joined as they are; and the realm is an address with two schemes. Each case is one line of JSON.
 */

declare(strict_types=1);

function encodePairs(array $parameters): string
{
    $pairs = [];
    foreach ($parameters as $name => $value) {
        $pairs[] = urlencode((string) $name) . '=' . urlencode((string) $value);
    }
    return implode('&', $pairs);
}

function authorization(string $method, string $baseUrl, string $endpoint, array $parameters, array $keys): string
{
    $protocol = [
        'oauth_consumer_key' => $keys['consumer_key'],
        'oauth_token' => $keys['access_token'],
        'oauth_signature_method' => 'HMAC-SHA1',
        'oauth_timestamp' => time(),
        'oauth_nonce' => bin2hex(random_bytes(8)),
        'oauth_version' => '1.0',
    ];

    $signed = $parameters + $protocol;
    ksort($signed);
    $text = $method . '&' . urlencode($baseUrl . $endpoint) . '&' . urlencode(encodePairs($signed));
    $secret = $keys['consumer_secret'] . '&' . $keys['access_secret'];
    $protocol['oauth_signature'] = base64_encode(hash_hmac('sha1', $text, $secret, true));

    $members = ['realm="http://' . $baseUrl . '"'];
    foreach ($protocol as $name => $value) {
        $members[] = $name . '="' . urlencode((string) $value) . '"';
    }
    return 'Authorization: OAuth ' . implode(', ', $members);
}

/** @return array{status: int, content_type: ?string, body: string} */
function request(string $method, string $url, ?string $form, array $headers): array
{
    return extension_loaded('curl')
        ? requestWithCurl($method, $url, $form, $headers)
        : requestWithStream($method, $url, $form, $headers);
}

function requestWithCurl(string $method, string $url, ?string $form, array $headers): array
{
    $curl = curl_init($url);
    curl_setopt_array($curl, [
        CURLOPT_HTTPHEADER => $headers,
        CURLOPT_RETURNTRANSFER => true,
        CURLOPT_PROXY => '',
        CURLOPT_TIMEOUT => 10,
    ]);
    if ($method === 'POST') {
        curl_setopt($curl, CURLOPT_POSTFIELDS, $form ?? '');
    }
    $body = curl_exec($curl);
    if ($body === false) {
        fwrite(STDERR, curl_error($curl) . "\n");
        exit(1);
    }
    return [
        'status' => curl_getinfo($curl, CURLINFO_RESPONSE_CODE),
        'content_type' => curl_getinfo($curl, CURLINFO_CONTENT_TYPE) ?: null,
        'body' => $body,
    ];
}

function requestWithStream(string $method, string $url, ?string $form, array $headers): array
{
    $http = ['method' => $method, 'ignore_errors' => true, 'follow_location' => 0, 'timeout' => 10];
    if ($method === 'POST') {
        $headers[] = 'Content-Type: application/x-www-form-urlencoded';
        $http['content'] = $form ?? '';
    }
    $http['header'] = $headers;
    $body = file_get_contents($url, false, stream_context_create(['http' => $http]));
    if ($body === false) {
        exit(1);
    }
    $answer = ['status' => 0, 'content_type' => null, 'body' => $body];
    foreach ($http_response_header as $line) {
        if (preg_match('~^HTTP/\S+ (\d+)~', $line, $found)) {
            $answer['status'] = (int) $found[1];
        } elseif (preg_match('~^Content-Type:\s*(.+)$~i', $line, $found)) {
            $answer['content_type'] = $found[1];
        }
    }
    return $answer;
}

function run(string $case, string $method, string $baseUrl, array $parameters, array $keys, bool $believed): void
{
    $endpoint = '/api/session/get-token';
    $header = authorization($method, $baseUrl, $endpoint, $parameters, $keys);
    $encoded = encodePairs($parameters);
    $answer = $method === 'GET'
        ? request('GET', $baseUrl . $endpoint . ($encoded === '' ? '' : '?' . $encoded), null, [$header])
        : request('POST', $baseUrl . $endpoint, $encoded, [$header]);
    $line = ['case' => $case, 'believed' => $believed] + $answer;
    echo json_encode($line, JSON_UNESCAPED_UNICODE | JSON_UNESCAPED_SLASHES | JSON_THROW_ON_ERROR), "\n";
}

if ($argc !== 6) {
    fwrite(STDERR, "usage: php visualvideo.php BASE_URL CONSUMER_KEY CONSUMER_SECRET ACCESS_TOKEN ACCESS_SECRET\n");
    exit(64);
}

$baseUrl = rtrim($argv[1], '/');
$keys = array_combine(
    ['consumer_key', 'consumer_secret', 'access_token', 'access_secret'],
    array_slice($argv, 2),
);
$awkward = [
    'email' => 'jörg+a~b@example.com',
    'full_name' => "Jörg O'Neil & Söhne ~ 100% +1",
    'return_url' => '/über uns?a=b&c=d+e%20f~#g',
    'format' => 'json',
    'raw' => 1,
];
$otherKeys = ['consumer_secret' => $keys['consumer_secret'] . 'x'] + $keys;

run('GET', 'GET', $baseUrl, $awkward, $keys, true);
run('GET without parameters', 'GET', $baseUrl, [], $keys, true);
run('POST', 'POST', $baseUrl, $awkward, $keys, true);
run('POST without parameters', 'POST', $baseUrl, [], $keys, true);
run('GET with another secret', 'GET', $baseUrl, $awkward, $otherKeys, false);
